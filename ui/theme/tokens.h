#pragma once
// The colours and measures of the window, in one place. Everything else (palette, style sheet, icons, charts, bars)
// is made from them. UI thread only.

#include <QBrush>
#include <QColor>
#include <array>

#include "core/base/memory_tag.h"

namespace qlora::theme {

struct Tokens {
    bool dark;
    QColor window, card, line, text, dim;
    QColor accent, on_accent;
    QColor good, warning, bad;
    std::array<QColor, memory_tag_count> tags;
    std::array<QColor, 6> further_runs;  // Okabe-Ito order, darkened or lightened to stay 3:1 against the card

    QColor tag(MemoryTag tag) const { return tags[static_cast<std::size_t>(tag)]; }
    // `share` of `over` mixed into the card's colour, opaque.
    QColor tint(const QColor& over, double share) const;
    QColor hover() const { return tint(text, 0.06); }
    QColor pressed() const { return tint(text, 0.12); }
    QColor control_line() const { return tint(dim, 0.7); }  // 3:1 against the card, as WCAG 1.4.11 asks of a control's edge
};

const Tokens& light();
const Tokens& dark();
// Those in force: the scheme is read off the application's palette, which Theme sets.
const Tokens& current();

// The contrast ratio of WCAG 2.2 (relative luminance), 1 to 21.
double contrast(const QColor& a, const QColor& b);

// A tag's colour with its hatch, so that colour never speaks alone. The pattern is 8 px wide.
QBrush tag_brush(MemoryTag tag, const Tokens& tokens);

// Measures, in logical pixels.
inline constexpr int grid = 8, half_grid = 4, radius = 6, control_height = 30;
inline constexpr int body_px = 13, dim_px = 12, card_title_px = 15, page_title_px = 20;
inline constexpr int icon_px = 20;

}  // namespace qlora::theme
