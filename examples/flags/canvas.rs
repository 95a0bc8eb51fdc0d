//! A canvas for flags: shapes of one colour each, in a picture that GIF can hold.

use std::f32::consts::{PI, TAU};

use gif::{Encoder, EncodingError, Frame};

const WIDTH: u16 = 300;
const HEIGHT: u16 = 200;
/// A flag is 1 high and this wide.
pub(crate) const RATIO: f32 = 1.5;

/// Red, green and blue, as in `0xFF0000`.
pub(crate) type Colour = u32;
pub(crate) type Point = (f32, f32);

/// A flag in the making. The upper left corner is (0, 0), the lower right one (1.5, 1).
#[derive(Debug)]
pub(crate) struct Canvas {
    pixels: Vec<u8>,
    colours: Vec<Colour>,
}

impl Canvas {
    /// A cloth of one colour.
    pub(crate) fn new(colour: Colour) -> Self {
        Self { pixels: vec![0; usize::from(WIDTH) * usize::from(HEIGHT)], colours: vec![colour] }
    }

    /// Stripes of the same height, from the top.
    pub(crate) fn horizontal(colours: &[Colour]) -> Self {
        colours.iter().zip(0..).fold(Self::new(colours[0]), |canvas, (&colour, at)| {
            let height = 1.0 / colours.len() as f32;
            canvas.rectangle(colour, (0.0, at as f32 * height), (RATIO, (at + 1) as f32 * height))
        })
    }

    /// Stripes of the same width, from the mast.
    pub(crate) fn vertical(colours: &[Colour]) -> Self {
        colours.iter().zip(0..).fold(Self::new(colours[0]), |canvas, (&colour, at)| {
            let width = RATIO / colours.len() as f32;
            canvas.rectangle(colour, (at as f32 * width, 0.0), ((at + 1) as f32 * width, 1.0))
        })
    }

    /// Everything that is inside, between these corners.
    pub(crate) fn paint(mut self, colour: Colour, from: Point, to: Point, inside: impl Fn(f32, f32) -> bool) -> Self {
        let index = self.index_of(colour);
        let size = f32::from(HEIGHT);
        // A pixel stands for its centre. Casts of negative numbers give 0.
        let range =
            |from: f32, to: f32, end: u16| (from * size) as usize..((to * size).ceil() as usize).min(end.into());
        for row in range(from.1, to.1, HEIGHT) {
            for column in range(from.0, to.0, WIDTH) {
                if inside((column as f32 + 0.5) / size, (row as f32 + 0.5) / size) {
                    self.pixels[row * usize::from(WIDTH) + column] = index;
                }
            }
        }
        self
    }

    fn index_of(&mut self, colour: Colour) -> u8 {
        let known = self.colours.iter().position(|&other| other == colour);
        let index = known.unwrap_or_else(|| {
            self.colours.push(colour);
            self.colours.len() - 1
        });
        u8::try_from(index).expect("a flag has fewer than 256 colours")
    }

    pub(crate) fn rectangle(self, colour: Colour, from: Point, to: Point) -> Self {
        self.paint(colour, from, to, |x, y| (from.0..to.0).contains(&x) && (from.1..to.1).contains(&y))
    }

    pub(crate) fn disc(self, colour: Colour, centre: Point, radius: f32) -> Self {
        self.ring(colour, centre, radius, 0.0)
    }

    pub(crate) fn ring(self, colour: Colour, centre: Point, outer: f32, inner: f32) -> Self {
        self.crescent(colour, centre, outer, centre, inner)
    }

    /// A disc that another one bites a piece out of.
    pub(crate) fn crescent(self, colour: Colour, centre: Point, radius: f32, bite: Point, bite_radius: f32) -> Self {
        let from = (centre.0 - radius, centre.1 - radius);
        let to = (centre.0 + radius, centre.1 + radius);
        self.paint(colour, from, to, |x, y| is_within(centre, radius, x, y) && !is_within(bite, bite_radius, x, y))
    }

    pub(crate) fn polygon(self, colour: Colour, corners: &[Point]) -> Self {
        let from = corners.iter().fold((f32::MAX, f32::MAX), |(x, y), corner| (x.min(corner.0), y.min(corner.1)));
        let to = corners.iter().fold((f32::MIN, f32::MIN), |(x, y), corner| (x.max(corner.0), y.max(corner.1)));
        self.paint(colour, from, to, |x, y| {
            let edges = corners.iter().zip(corners.iter().cycle().skip(1));
            let crossed = edges
                .filter(|&(&(ax, ay), &(bx, by))| ((ay > y) != (by > y)) && x < ax + (y - ay) / (by - ay) * (bx - ax));
            crossed.count() % 2 == 1
        })
    }

    /// A line of some width.
    pub(crate) fn line(self, colour: Colour, from: Point, to: Point, width: f32) -> Self {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let (sx, sy) = (-dy / length * width / 2.0, dx / length * width / 2.0);
        let corners =
            [(from.0 + sx, from.1 + sy), (to.0 + sx, to.1 + sy), (to.0 - sx, to.1 - sy), (from.0 - sx, from.1 - sy)];
        self.polygon(colour, &corners)
    }

    /// A star with five points, one of which points up if `turn` is 0; 1 is a full turn to the right.
    pub(crate) fn star(self, colour: Colour, centre: Point, radius: f32, turn: f32) -> Self {
        /// How far the inner corners of a pentagram are from its centre.
        const INNER: f32 = 0.382;
        let corners: Vec<Point> = (0..10)
            .map(|corner| {
                let radius = if corner % 2 == 0 { radius } else { radius * INNER };
                at_angle(centre, radius, turn + corner as f32 / 10.0)
            })
            .collect();
        self.polygon(colour, &corners)
    }

    /// Rays around a centre, evenly, the first one up.
    pub(crate) fn rays(self, colour: Colour, centre: Point, inner: f32, outer: f32, count: u16, width: f32) -> Self {
        (0..count).fold(self, |canvas, ray| {
            let turn = f32::from(ray) / f32::from(count);
            canvas.line(colour, at_angle(centre, inner, turn), at_angle(centre, outer, turn), width)
        })
    }

    /// The picture as a GIF file.
    pub(crate) fn into_gif(self) -> Result<Vec<u8>, EncodingError> {
        let palette: Vec<u8> = self.colours.iter().flat_map(|colour| colour.to_be_bytes()[1..].to_vec()).collect();
        let mut encoder = Encoder::new(Vec::new(), WIDTH, HEIGHT, &palette)?;
        encoder.write_frame(&Frame::from_indexed_pixels(WIDTH, HEIGHT, self.pixels, None))?;
        encoder.into_inner()
    }
}

fn is_within(centre: Point, radius: f32, x: f32, y: f32) -> bool {
    (x - centre.0).hypot(y - centre.1) < radius
}

/// The point that is `turn` of a circle to the right of straight up.
pub(crate) fn at_angle(centre: Point, radius: f32, turn: f32) -> Point {
    let (sine, cosine) = (turn * TAU - PI / 2.0).sin_cos();
    (centre.0 + radius * cosine, centre.1 + radius * sine)
}
