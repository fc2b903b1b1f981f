//! Colours with a meaning, and what replaces them and Unicode on terminals that have none.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

pub use ratatui::style::Style;

/// How things look. Only the sixteen colours that every terminal has are used, so that they fit its own background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    colours: bool,
    unicode: bool,
}

impl Theme {
    /// What the environment says: `NO_COLOR` (any value), and whether the locale is UTF-8; `ENGINEHOUSE_ASCII=1` has only ASCII
    /// shown, and `0` Unicode whatever the locale is.
    #[must_use]
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
        let unicode = match set("ENGINEHOUSE_ASCII").as_deref() {
            Some("0") => true,
            Some(_) => false,
            None => locale.contains("utf-8") || locale.contains("utf8"),
        };
        Self { colours: set("NO_COLOR").is_none(), unicode }
    }

    /// With these.
    #[must_use]
    pub const fn new(colours: bool, unicode: bool) -> Self {
        Self { colours, unicode }
    }

    /// What is said beside the matter.
    #[must_use]
    pub fn dim(&self) -> Style {
        Style::new().fg(Color::DarkGray)
    }

    /// Names and headings.
    #[must_use]
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What leads somewhere: keys, places.
    #[must_use]
    pub fn accent(&self) -> Style {
        Style::new().fg(Color::Cyan)
    }

    /// What is well.
    #[must_use]
    pub fn good(&self) -> Style {
        Style::new().fg(Color::Green)
    }

    /// What is under way, or nearly too much.
    #[must_use]
    pub fn busy(&self) -> Style {
        Style::new().fg(Color::Yellow)
    }

    /// What is wrong.
    #[must_use]
    pub fn bad(&self) -> Style {
        Style::new().fg(Color::Red)
    }

    /// What sleeps.
    #[must_use]
    pub fn calm(&self) -> Style {
        Style::new().fg(Color::Blue)
    }

    /// What the next key is about.
    #[must_use]
    pub fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// How full something is that can be full: a share of 0 to 1.
    #[must_use]
    pub fn fullness(&self, share: f64) -> Style {
        match share {
            share if share >= 0.95 => self.bad(),
            share if share >= 0.80 => self.busy(),
            _ => self.good(),
        }
    }

    /// Replaces in a drawn picture what the terminal does not have. What is left of no colours are bold and reversed cells.
    pub fn finish(&self, buffer: &mut Buffer) {
        if self.colours && self.unicode {
            return;
        }
        for cell in &mut buffer.content {
            if !self.colours {
                (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
            }
            if !self.unicode && !cell.symbol().is_ascii() {
                let ascii = cell.symbol().chars().next().map_or(' ', ascii);
                cell.set_char(ascii);
            }
        }
    }
}

/// What is written for a character where there is only ASCII.
fn ascii(symbol: char) -> char {
    match symbol {
        '─' | '━' | '═' | '╌' | '┄' => '-',
        '│' | '┃' | '║' | '▏' | '▎' => '|',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╰' | '╯' => '+',
        '█' | '▉' | '▊' | '▋' | '▌' | '▍' | '▓' => '#',
        '░' | '▒' | '·' => '.',
        '▁' => '_',
        '▂' => '.',
        '▃' => ':',
        '▄' => '-',
        '▅' => '=',
        '▆' => '+',
        '▇' => '*',
        '●' | '•' => '*',
        '◐' => '~',
        '○' => 'o',
        '◌' => '-',
        '✗' => 'x',
        '☾' => 'z',
        '▲' => '!',
        '✓' => 'v',
        '→' | '▸' | '›' | '❯' => '>',
        '←' | '◂' | '‹' => '<',
        '↑' => '^',
        '↓' | '▾' => 'v',
        '…' => '~',
        '–' | '—' => '-',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '×' => 'x',
        '°' => ' ',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    fn of(pairs: &'static [(&'static str, &'static str)]) -> Theme {
        Theme::from_env(&|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_says_what_the_terminal_has() {
        assert_eq!(of(&[]), Theme::new(true, false));
        assert_eq!(of(&[("LANG", "C.UTF-8")]), Theme::new(true, true));
        assert_eq!(of(&[("LANG", "de_DE.utf8"), ("LC_ALL", "C")]), Theme::new(true, false));
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "de_DE.utf8"), ("NO_COLOR", "1")]), Theme::new(false, true));
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("ENGINEHOUSE_ASCII", "1")]), Theme::new(true, false));
        assert_eq!(of(&[("ENGINEHOUSE_ASCII", "0"), ("NO_COLOR", "")]), Theme::new(true, true));
    }

    #[test]
    fn no_colour_and_no_unicode_is_left_where_there_is_none() {
        let theme = Theme::new(false, false);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "┌─● 漢字▇é│x", theme.bad().add_modifier(Modifier::BOLD));
        theme.finish(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "+-* ? ? *?|x");
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
        assert!(buffer.content[0].modifier.contains(Modifier::BOLD));
    }
}
