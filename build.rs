//! Makes `Instr`, its structs and the static table from `isa/table.toml`.
//!
//! Knows the table's shape and nothing of what instructions do. Checks what a table must hold: opcodes and
//! names unique, defaults in range.

use std::collections::BTreeSet;
use std::fmt::Write as _;

fn main() {
    println!("cargo:rerun-if-changed=isa/table.toml");
    println!("cargo:rerun-if-changed=build.rs");
    let text = std::fs::read_to_string("isa/table.toml").expect("isa/table.toml is there");
    let table: toml::Table = text.parse().expect("isa/table.toml is TOML");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(format!("{out}/table.rs"), generate(&table)).expect("OUT_DIR is writable");
}

struct Field {
    name: String,
    kind: String,
    doc: String,
    default: Option<i64>,
    access: Option<String>,
}

impl Field {
    fn rust_type(&self) -> &'static str {
        let (kind, width) = self.kind.split_once(':').unwrap_or((&self.kind, ""));
        let wide = width.parse::<u32>().is_ok_and(|w| w > 32);
        match kind {
            "address" => "Address",
            "uint" if wide => "u64",
            "uint" => "u32",
            "int" if wide => "i64",
            "int" => "i32",
            "flag" => "bool",
            "format" => "Format",
            "scalar" => "Scalar",
            "scale" => "Scale",
            "counter" => "Counter",
            "mode" => "ModeIndex",
            "overflow" => "Overflow",
            "rounding" => "Rounding",
            other => panic!("field {}: unknown kind {other}", self.name),
        }
    }

    fn spec_kind(&self) -> String {
        let (kind, arg) = self.kind.split_once(':').unwrap_or((&self.kind, ""));
        let capital = capitalised(kind);
        match kind {
            "address" if arg == "any" => "Kind::Address(None)".into(),
            "address" => format!("Kind::Address(Some(Memory::{}))", capitalised(arg)),
            "uint" | "int" => format!("Kind::{capital}({arg})"),
            _ => format!("Kind::{capital}"),
        }
    }

    fn width(&self) -> u32 {
        let (kind, arg) = self.kind.split_once(':').unwrap_or((&self.kind, ""));
        match kind {
            "address" if arg == "any" => 48,
            "address" => 45,
            "uint" | "int" => arg.parse().expect("a width"),
            "flag" => 1,
            "format" => 6,
            "scalar" => 5,
            "scale" => 4,
            "counter" | "mode" => 3,
            "overflow" | "rounding" => 2,
            other => panic!("field {}: unknown kind {other}", self.name),
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |c| c.to_ascii_uppercase().to_string() + letters.as_str())
}

fn camel(mnemonic: &str) -> String {
    mnemonic.split(['.', '_']).map(capitalised).collect()
}

fn fields_of(entry: &toml::Table) -> Vec<Field> {
    let list = entry.get("fields").and_then(|f| f.as_array()).cloned().unwrap_or_default();
    let text = |t: &toml::Table, key: &str| t.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    list.iter()
        .map(|f| {
            let f = f.as_table().expect("a field is a table");
            Field {
                name: text(f, "name").expect("a field has a name"),
                kind: text(f, "kind").expect("a field has a kind"),
                doc: text(f, "doc").expect("a field has a doc"),
                default: f.get("default").and_then(toml::Value::as_integer),
                access: text(f, "access"),
            }
        })
        .collect()
}

fn write_struct(out: &mut String, name: &str, doc: &str, fields: &[Field]) {
    writeln!(out, "/// {doc}\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\npub struct {name} {{")
        .unwrap();
    for f in fields {
        writeln!(
            out,
            "    /// {} (`{}`).\n    pub {}: {},",
            capitalised(&f.doc),
            f.kind,
            f.name,
            f.rust_type()
        )
        .unwrap();
    }
    writeln!(out, "}}\nimpl {name} {{").unwrap();
    writeln!(out, "    fn raw(&self, specs: &[FieldSpec]) -> Vec<u64> {{\n        vec![").unwrap();
    for (i, f) in fields.iter().enumerate() {
        writeln!(out, "            self.{}.raw(&specs[{i}]),", f.name).unwrap();
    }
    writeln!(out, "        ]\n    }}").unwrap();
    writeln!(
        out,
        "    fn from_raw(raw: &[u64], specs: &[FieldSpec]) -> Result<Self, usize> {{\n        Ok(Self {{"
    )
    .unwrap();
    for (i, f) in fields.iter().enumerate() {
        writeln!(out, "            {}: Field::from_raw(raw[{i}], &specs[{i}]).ok_or({i}usize)?,", f.name)
            .unwrap();
    }
    writeln!(out, "        }})\n    }}").unwrap();
    writeln!(out, "    fn addresses_mut(&mut self) -> Vec<&mut Address> {{\n        vec![").unwrap();
    for f in fields.iter().filter(|f| f.rust_type() == "Address") {
        writeln!(out, "            &mut self.{},", f.name).unwrap();
    }
    writeln!(out, "        ]\n    }}\n}}").unwrap();
}

fn generate(table: &toml::Table) -> String {
    let mut out = String::new();
    let groups: Vec<(String, Vec<Field>)> = table["group"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|g| {
            let g = g.as_table().expect("a group is a table");
            (g["name"].as_str().expect("a group has a name").to_owned(), fields_of(g))
        })
        .collect();
    for (name, fields) in &groups {
        write_struct(&mut out, &camel(name), &format!("Fields shared by the {name} instructions."), fields);
    }

    let mut opcodes = BTreeSet::new();
    let mut names = BTreeSet::new();
    let (mut variants, mut specs, mut raw, mut from_raw, mut addresses) =
        (String::new(), String::new(), String::new(), String::new(), String::new());
    for (index, entry) in table["instruction"].as_array().expect("instructions").iter().enumerate() {
        let entry = entry.as_table().expect("an instruction is a table");
        let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("instruction {index}: {key}"));
        let (mnemonic, unit) = (text("mnemonic"), text("unit"));
        let opcode = u8::try_from(entry["opcode"].as_integer().expect("an opcode")).expect("8 bits");
        assert!(opcodes.insert(opcode), "opcode {opcode:#04x} of {mnemonic} is taken");
        assert!(names.insert(mnemonic.to_owned()), "mnemonic {mnemonic} is taken");
        let name = camel(mnemonic);
        let own = fields_of(entry);
        let (group, fields) = match entry.get("group").and_then(|g| g.as_str()) {
            Some(g) => {
                let (_, fields) = groups.iter().find(|(n, _)| n == g).expect("the group exists");
                (Some(camel(g)), fields)
            }
            None => (None, &own),
        };
        if group.is_none() && !fields.is_empty() {
            write_struct(&mut out, &name, &format!("Fields of `{mnemonic}`. {}", text("summary")), fields);
        }
        let payload = group.unwrap_or_else(|| name.clone());
        if fields.is_empty() {
            writeln!(variants, "    /// `{mnemonic}`: {}\n    {name},", text("summary")).unwrap();
            writeln!(raw, "            Instr::{name} => Vec::new(),").unwrap();
            writeln!(from_raw, "            {index} => Ok(Instr::{name}),").unwrap();
            writeln!(addresses, "            Instr::{name} => Vec::new(),").unwrap();
        } else {
            writeln!(variants, "    /// `{mnemonic}`: {}\n    {name}({payload}),", text("summary")).unwrap();
            writeln!(raw, "            Instr::{name}(i) => i.raw(self.spec().fields),").unwrap();
            writeln!(from_raw, "            {index} => {payload}::from_raw(raw, specs).map(Instr::{name}),")
                .unwrap();
            writeln!(addresses, "            Instr::{name}(i) => i.addresses_mut(),").unwrap();
        }
        let mut position = 8;
        let mut list = String::new();
        let mut seen = BTreeSet::new();
        for f in fields {
            assert!(seen.insert(f.name.clone()), "{mnemonic}: field {} stands twice", f.name);
            let access =
                f.access.as_deref().map_or("None".into(), |a| format!("Some(Access::{})", capitalised(a)));
            writeln!(
                list,
                "        FieldSpec {{ name: {:?}, kind: {}, position: {position}, width: {}, default: {:?}, access: {access}, doc: {:?} }},",
                f.name,
                f.spec_kind(),
                f.width(),
                f.default,
                f.doc
            )
            .unwrap();
            position += f.width();
        }
        writeln!(
            specs,
            "    InstrSpec {{ mnemonic: {mnemonic:?}, opcode: {opcode}, unit: Unit::{}, words: {}, summary: {:?}, meaning: {:?}, fields: &[\n{list}    ] }},",
            capitalised(unit),
            position.div_ceil(64),
            text("summary"),
            text("meaning").trim()
        )
        .unwrap();
        writeln!(out, "const {}: usize = {index};", index_name(&name)).unwrap();
    }
    let indices: String = table["instruction"]
        .as_array()
        .expect("instructions")
        .iter()
        .map(|e| {
            let name = camel(e["mnemonic"].as_str().expect("a mnemonic"));
            format!(
                "            Instr::{name}{} => {},\n",
                if has_fields(e) { "(_)" } else { "" },
                index_name(&name)
            )
        })
        .collect();
    write!(
        out,
        "/// One instruction, decoded.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\n#[allow(clippy::large_enum_variant, reason = \"programs are short and matrix instructions the common case\")]\npub enum Instr {{\n{variants}}}\n\
         impl Instr {{\n    fn table_index(&self) -> usize {{\n        match self {{\n{indices}        }}\n    }}\n\
         pub(crate) fn raw_fields(&self) -> Vec<u64> {{\n        match self {{\n{raw}        }}\n    }}\n\
         pub(crate) fn from_raw_fields(index: usize, raw: &[u64]) -> Result<Self, usize> {{\n        let specs = TABLE[index].fields;\n        match index {{\n{from_raw}            _ => unreachable!(\"the index comes from the table\"),\n        }}\n    }}\n\
         pub(crate) fn addresses_mut(&mut self) -> Vec<&mut Address> {{\n        match self {{\n{addresses}        }}\n    }}\n}}\n\
         /// Every instruction there is, in the table's order.\npub static TABLE: &[InstrSpec] = &[\n{specs}];\n"
    )
    .unwrap();
    out
}

fn has_fields(instruction: &toml::Value) -> bool {
    instruction.get("fields").is_some() || instruction.get("group").is_some()
}

fn index_name(name: &str) -> String {
    format!("INDEX_{}", name.to_ascii_uppercase())
}
