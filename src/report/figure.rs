//! How pictures are made: PNG and SVG of the same drawing, with a font the binary carries. Must not know what is drawn.

use std::path::{Path, PathBuf};
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// Why a plot was not drawn.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct PlotError {
    /// The picture.
    path: PathBuf,
    /// What went wrong.
    what: String,
}

/// Phases' colours, in the order of a step.
pub(crate) const COLOURS: [RGBColor; 7] = [
    RGBColor(127, 127, 127),
    RGBColor(31, 119, 180),
    RGBColor(148, 103, 189),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(188, 189, 34),
];

/// What drawing comes to.
pub(crate) type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Something that can be drawn.
pub(crate) trait Figure {
    /// Name of its files.
    fn name(&self) -> &'static str;

    /// Width and height, pixels.
    fn size(&self) -> (u32, u32) {
        (960, 600)
    }

    /// Draws it on white.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B>;
}

static FONT: Once = Once::new();

fn font() {
    FONT.call_once(|| {
        // Registering fails only for bytes that are no font.
        let _ = register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
}

fn whole<B: DrawingBackend>(figure: &impl Figure, backend: B) -> Result<(), String> {
    font();
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(|e| e.to_string())?;
    figure.draw(&area).map_err(|e| e.to_string())?;
    area.present().map_err(|e| e.to_string())
}

/// Draws a figure into a folder, PNG and SVG; the files.
pub(crate) fn save(figure: &impl Figure, dir: &Path) -> Result<[PathBuf; 2], PlotError> {
    let [png, svg] = ["png", "svg"].map(|extension| dir.join(format!("{}.{extension}", figure.name())));
    whole(figure, BitMapBackend::new(&png, figure.size()))
        .map_err(|what| PlotError { path: png.clone(), what })?;
    whole(figure, SVGBackend::new(&svg, figure.size()))
        .map_err(|what| PlotError { path: svg.clone(), what })?;
    Ok([png, svg])
}

/// Draws a figure into one file, PNG or SVG by its name.
pub(crate) fn save_as(figure: &impl Figure, path: &Path) -> Result<(), PlotError> {
    let drawn = match path.extension().and_then(|e| e.to_str()) {
        Some("png") => whole(figure, BitMapBackend::new(path, figure.size())),
        Some("svg") => whole(figure, SVGBackend::new(path, figure.size())),
        _ => Err("a picture is a .png or an .svg; give it such a name".to_owned()),
    };
    drawn.map_err(|what| PlotError { path: path.to_owned(), what })
}

/// A figure as the text of an SVG element that fits the width it is given.
pub(crate) fn inline(figure: &impl Figure) -> Result<String, PlotError> {
    let mut text = String::new();
    whole(figure, SVGBackend::with_string(&mut text, figure.size()))
        .map_err(|what| PlotError { path: figure.name().into(), what })?;
    let (width, height) = figure.size();
    let fixed = format!("width=\"{width}\" height=\"{height}\" ");
    Ok(text.replacen(&fixed, "role=\"img\" ", 1))
}

/// A chart with its title, and room for the labels of both axes.
pub(crate) fn chart<'a, 'b, B: DrawingBackend>(
    area: &'a DrawingArea<B, Shift>,
    title: &str,
) -> ChartBuilder<'a, 'b, B> {
    let mut chart = ChartBuilder::on(area);
    chart.caption(title, ("sans-serif", 24)).margin(16).x_label_area_size(44).y_label_area_size(64);
    chart
}

/// Text at a place: `across` and `down` say which point of it stands there.
pub(crate) fn text<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    words: &str,
    at: (i32, i32),
    size: u32,
    across: plotters::style::text_anchor::HPos,
    colour: RGBColor,
) -> Drawn<B> {
    use plotters::style::text_anchor::{Pos, VPos};
    let style = ("sans-serif", size).into_font().color(&colour).pos(Pos::new(across, VPos::Center));
    area.draw(&Text::new(words.to_owned(), at, style))
}
