//! The style sheet, the script and the icon: part of the binary, and named after their content, so that a browser may
//! keep them for ever and never has those of another version.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};

use super::view::Tone;

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    content_type: &'static str,
    content: &'static str,
    /// Its address.
    pub(crate) path: String,
}

impl Asset {
    fn new(stem: &str, ending: &str, content_type: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content);
        let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { content_type, content, path: format!("/assets/{stem}-{hex}.{ending}") }
    }
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("../../assets/page.css");
    Asset::new("page", "css", "text/css; charset=utf-8", text)
});
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("../../assets/page.js");
    Asset::new("page", "js", "text/javascript; charset=utf-8", text)
});
/// The icons: that all is well, that something is in progress, that something needs somebody.
static ICONS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let icon = |stem, text| Asset::new(stem, "svg", "image/svg+xml", text);
    [
        icon("icon", include_str!("../../assets/icon.svg")),
        icon("icon-busy", include_str!("../../assets/icon-busy.svg")),
        icon("icon-bad", include_str!("../../assets/icon-bad.svg")),
    ]
});

/// The icon that tells this tone.
pub(crate) fn icon(tone: Tone) -> &'static Asset {
    let [well, busy, bad] = &*ICONS;
    match tone {
        Tone::Bad => bad,
        Tone::Busy | Tone::Wait => busy,
        Tone::Good | Tone::Quiet => well,
    }
}

pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let mut known = [&*STYLE, &*SCRIPT].into_iter().chain(&*ICONS);
    let asset = known.find(|asset| asset.path.strip_prefix("/assets/") == Some(&name));
    let Some(asset) = asset else { return StatusCode::NOT_FOUND.into_response() };
    let kept = "public, max-age=31536000, immutable";
    let headers = [(CONTENT_TYPE, asset.content_type), (CACHE_CONTROL, kept)];
    (headers, asset.content).into_response()
}
