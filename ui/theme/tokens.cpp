#include "ui/theme/tokens.h"

#include <QGuiApplication>
#include <QPainter>
#include <QPalette>
#include <QPixmap>
#include <algorithm>
#include <cmath>

namespace qlora::theme {

namespace {

QColor rgb(QRgb value) { return QColor::fromRgb(value); }

// Lines over the tag's colour: each tag has its own direction and pitch.
void draw_hatch(QPainter& painter, MemoryTag tag) {
    switch (tag) {
        case MemoryTag::weights: return;
        case MemoryTag::adapters:
            for (int x : {-8, 0, 8}) painter.drawLine(x, 8, x + 8, 0);
            return;
        case MemoryTag::gradients:
            for (int x : {-8, 0, 8}) painter.drawLine(x, 0, x + 8, 8);
            return;
        case MemoryTag::optimizer: painter.drawLine(0, 4, 8, 4); return;
        case MemoryTag::activations:
            painter.drawPoint(2, 2);
            painter.drawPoint(6, 6);
            return;
        case MemoryTag::scratch: painter.drawLine(4, 0, 4, 8); return;
        case MemoryTag::other:
            painter.drawLine(0, 4, 8, 4);
            painter.drawLine(4, 0, 4, 8);
            return;
    }
}

double linear(double channel) {
    return channel <= 0.04045 ? channel / 12.92 : std::pow((channel + 0.055) / 1.055, 2.4);
}

double luminance(const QColor& color) {
    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF());
}

}  // namespace

QColor Tokens::tint(const QColor& over, double share) const {
    auto mix = [share](int under, int above) { return static_cast<int>(std::lround(under + (above - under) * share)); };
    return QColor(mix(card.red(), over.red()), mix(card.green(), over.green()), mix(card.blue(), over.blue()));
}

const Tokens& light() {
    static const Tokens tokens{
        .dark = false,
        .window = rgb(0xF6F7F9), .card = rgb(0xFFFFFF), .line = rgb(0xD9DEE5),
        .text = rgb(0x1B2430), .dim = rgb(0x566273),
        .accent = rgb(0x1F5FD0), .on_accent = rgb(0xFFFFFF),
        .good = rgb(0x1B7A43), .warning = rgb(0x8F5600), .bad = rgb(0xB3261E),
        .tags = {rgb(0x4C6A92), rgb(0xD55E00), rgb(0x9A7B00), rgb(0x008F6B), rgb(0x3A9AD9), rgb(0xB5679A), rgb(0x8A93A0)},
        .further_runs = {rgb(0x009E73), rgb(0xB65D92), rgb(0x9A7B00), rgb(0x3A9AD9), rgb(0x4B4B4B), rgb(0xA85A00)},
    };
    return tokens;
}

const Tokens& dark() {
    static const Tokens tokens{
        .dark = true,
        .window = rgb(0x14181F), .card = rgb(0x1D232C), .line = rgb(0x323B48),
        .text = rgb(0xE7ECF3), .dim = rgb(0xA3AFBF),
        .accent = rgb(0x7FB0FF), .on_accent = rgb(0x0E1420),
        .good = rgb(0x6FD097), .warning = rgb(0xF2B65A), .bad = rgb(0xFF8A80),
        .tags = {rgb(0x8FB3E0), rgb(0xFF9147), rgb(0xF0D264), rgb(0x4FD0AA), rgb(0x6CC4FF), rgb(0xE6A6CE), rgb(0x6C7786)},
        .further_runs = {rgb(0x33C79B), rgb(0xE6A6CE), rgb(0xF0E442), rgb(0x6CC4FF), rgb(0xC9CFD8), rgb(0xE69F00)},
    };
    return tokens;
}

const Tokens& current() {
    return QGuiApplication::palette().color(QPalette::Window).lightness() < 128 ? dark() : light();
}

double contrast(const QColor& a, const QColor& b) {
    auto [low, high] = std::minmax({luminance(a), luminance(b)});
    return (high + 0.05) / (low + 0.05);
}

QBrush tag_brush(MemoryTag tag, const Tokens& tokens) {
    QPixmap tile(8, 8);
    tile.fill(tokens.tag(tag));
    QPainter painter(&tile);
    painter.setRenderHint(QPainter::Antialiasing, tag == MemoryTag::adapters || tag == MemoryTag::gradients);
    QColor ink = tokens.card;
    ink.setAlphaF(0.55f);
    painter.setPen(QPen(ink, tag == MemoryTag::activations ? 2.0 : 1.2));
    draw_hatch(painter, tag);
    painter.end();
    return QBrush(tile);
}

}  // namespace qlora::theme
