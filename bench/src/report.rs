//! A record for people and programs: tables, and one page that needs nothing else.
//!
//! | module | what it makes |
//! |---|---|
//! | [`rows`] | a row a cell, which all others show |
//! | [`text`] | CSV, Markdown, JUnit |
//! | [`page`] | the HTML page |
//! | [`shell`] | what is the same on every page, other reports' included |
//! | `plots` | its figures, drawn as SVG by `svg` on the scales of `axis` |

mod axis;
mod number;
pub mod page;
mod plots;
pub mod rows;
pub mod shell;
mod svg;
pub mod text;
