//! Instruction set extensions: which there are, which the processor has, which is taken.

/// What kernels are compiled for. Every extension gives the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extension {
    /// Plain loops, vectorised by the compiler for any processor.
    Portable,
    /// x86-64 with AVX2 and its companions.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
    Avx512Vnni,
    /// The same with AMX for bytes, which the system must let a process use.
    Amx,
}

/// Names the extension to take where nothing else does.
const VARIABLE: &str = "WAGESIM_ISA_EXTENSION";

impl Extension {
    /// Every extension, the best last.
    pub const ALL: [Extension; 4] =
        [Extension::Portable, Extension::Avx2, Extension::Avx512Vnni, Extension::Amx];

    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Portable => "portable",
            Extension::Avx2 => "avx2",
            Extension::Avx512Vnni => "avx512-vnni",
            Extension::Amx => "amx",
        }
    }

    /// Whether this processor has it and the system lets it be used.
    pub fn is_available(self) -> bool {
        match self {
            Extension::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Extension::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Extension::Avx512Vnni => {
                Extension::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Extension::Amx => super::amx::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Those this processor has, the best last.
    pub fn available() -> impl DoubleEndedIterator<Item = Extension> {
        Self::ALL.into_iter().filter(|e| e.is_available())
    }

    /// The extension of a name, if this processor has it.
    ///
    /// # Errors
    /// What is wrong, and which names there are.
    pub fn named(name: &str) -> Result<Extension, String> {
        let names = || Self::available().map(Extension::name).collect::<Vec<_>>().join(", ");
        let found = Self::ALL.into_iter().find(|e| e.name() == name);
        let found =
            found.ok_or_else(|| format!("no instruction set extension `{name}`; there are {}", names()))?;
        if found.is_available() {
            Ok(found)
        } else {
            Err(format!(
                "this processor has no {name}, or the system does not let it be used; there are {}",
                names()
            ))
        }
    }

    /// Whether this processor has what the environment names, if it names one.
    ///
    /// # Errors
    /// A name of no extension, or of one that is not here; with those that are.
    pub fn asked() -> Result<(), String> {
        let Ok(name) = std::env::var(VARIABLE) else { return Ok(()) };
        Self::named(&name).map(drop).map_err(|what| format!("{VARIABLE}: {what}"))
    }

    /// What the environment names (`WAGESIM_ISA_EXTENSION`), or the best there is.
    pub fn chosen() -> Extension {
        let named = std::env::var(VARIABLE).ok().and_then(|name| Self::named(&name).ok());
        named.unwrap_or_else(|| Self::available().next_back().unwrap_or(Extension::Portable))
    }
}

/// Kernels of an extension that this processor has: who holds one may call them.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Kernels(Extension);

impl Kernels {
    /// The kernels of an extension, or of the best below it that the processor has.
    pub(in crate::machine) fn of(extension: Extension) -> Kernels {
        let best = Extension::available().take_while(|&e| e <= extension).last();
        Kernels(best.unwrap_or(Extension::Portable))
    }

    /// The extension.
    pub(in crate::machine) fn extension(self) -> Extension {
        self.0
    }

    /// Rows whose products take as long as one row's.
    pub(in crate::machine) fn tile_rows(self) -> usize {
        if self.0 == Extension::Amx { 16 } else { 1 }
    }

    /// Does `work` compiled for AVX2, which the extension is.
    ///
    /// # Panics
    /// When it is another.
    #[inline(always)]
    pub(in crate::machine) fn with_avx2<R>(self, work: impl FnOnce() -> R) -> R {
        assert_eq!(self.0, Extension::Avx2);
        // SAFETY: a `Kernels` is made only of extensions that the processor has.
        #[cfg(target_arch = "x86_64")]
        return unsafe { with_avx2(work) };
        #[cfg(not(target_arch = "x86_64"))]
        work()
    }

    /// AMX on a processor that has all but that, once [`super::amx::emulate`] does its instructions; none on another.
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    pub(in crate::machine) fn emulated_amx() -> Option<Kernels> {
        super::amx::emulate();
        super::amx::has_vectors().then_some(Kernels(Extension::Amx))
    }

    /// Does `work` compiled for AVX-512, which the extension has.
    ///
    /// # Panics
    /// When it is another.
    #[inline(always)]
    pub(in crate::machine) fn with_avx512<R>(self, work: impl FnOnce() -> R) -> R {
        assert!(matches!(self.0, Extension::Avx512Vnni | Extension::Amx));
        // SAFETY: a `Kernels` is made only of extensions that the processor has.
        #[cfg(target_arch = "x86_64")]
        return unsafe { with_avx512(work) };
        #[cfg(not(target_arch = "x86_64"))]
        work()
    }
}

/// Evaluates an expression compiled for the extension of some [`Kernels`]: once in the source, once for each extension in
/// the program, so that all it calls inline is compiled for it too. What is not inlined is not: loops are safer than closures, or
/// these say `#[inline(always)]`.
macro_rules! compiled {
    ($kernels:expr, $work:expr) => {
        match $kernels.extension() {
            $crate::machine::kernels::Extension::Portable => $work,
            $crate::machine::kernels::Extension::Avx2 => $kernels.with_avx2(
                #[inline(always)]
                || $work,
            ),
            $crate::machine::kernels::Extension::Avx512Vnni | $crate::machine::kernels::Extension::Amx => {
                $kernels.with_avx512(
                    #[inline(always)]
                    || $work,
                )
            }
        }
    };
}
pub(in crate::machine) use compiled;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512dq")]
fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}
