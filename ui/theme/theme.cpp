#include "ui/theme/theme.h"

#include <QApplication>
#include <QFontDatabase>
#include <QFontMetrics>
#include <QStyle>
#include <QStyleFactory>
#include <QStyleHints>
#include <set>

// A static library's resources are linked in by name only; Qt wants this outside any namespace.
static void register_pictures() { Q_INIT_RESOURCE(studio); }

namespace qlora::theme {

namespace {

constexpr auto reduced_motion_property = "qlora_reduced_motion";

QFont sized(int pixels, QFont::Weight weight) {
    QFont font = QFontDatabase::systemFont(QFontDatabase::GeneralFont);
    font.setPixelSize(pixels);
    font.setWeight(weight);
    return font;
}

bool figures_share_width(const QFont& font) {
    QFontMetrics metrics(font);
    std::set<int> widths;
    for (char digit = '0'; digit <= '9'; ++digit) widths.insert(metrics.horizontalAdvance(QLatin1Char(digit)));
    return widths.size() == 1;
}

bool system_prefers_dark(const QPalette& palette) {
#if QT_VERSION >= QT_VERSION_CHECK(6, 5, 0)
    auto scheme = QGuiApplication::styleHints()->colorScheme();
    if (scheme != Qt::ColorScheme::Unknown) return scheme == Qt::ColorScheme::Dark;
#endif
    return palette.color(QPalette::Window).lightness() < 128;
}

}  // namespace

Theme::Theme(QApplication& application, Scheme scheme)
    : application_(application), scheme_(scheme), system_is_dark_(system_prefers_dark(QApplication::palette())) {
    register_pictures();
    const int system_motion = application_.style()->styleHint(QStyle::SH_Widget_Animation_Duration);
    application_.setProperty(reduced_motion_property, system_motion == 0 || qEnvironmentVariableIsSet("QLORA_REDUCED_MOTION"));
    application_.setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
    application_.setFont(body_font());
    apply();
#if QT_VERSION >= QT_VERSION_CHECK(6, 5, 0)
    connect(QGuiApplication::styleHints(), &QStyleHints::colorSchemeChanged, this, [this](Qt::ColorScheme system) {
        system_is_dark_ = system == Qt::ColorScheme::Dark;
        if (scheme_ == Scheme::system) apply();
    });
#endif
}

void Theme::set_scheme(Scheme scheme) {
    if (scheme == scheme_) return;
    scheme_ = scheme;
    apply();
}

void Theme::set_reduced_motion(bool reduced) { application_.setProperty(reduced_motion_property, reduced); }

void Theme::apply() {
    const bool is_dark = scheme_ == Scheme::dark || (scheme_ == Scheme::system && system_is_dark_);
    const Tokens& tokens = is_dark ? dark() : light();
    application_.setPalette(palette(tokens));
    application_.setStyleSheet(style_sheet(tokens));
    emit scheme_changed();
}

QPalette palette(const Tokens& tokens) {
    QPalette palette;
    palette.setColor(QPalette::Window, tokens.window);
    palette.setColor(QPalette::WindowText, tokens.text);
    palette.setColor(QPalette::Base, tokens.card);
    palette.setColor(QPalette::AlternateBase, tokens.tint(tokens.text, 0.03));
    palette.setColor(QPalette::Text, tokens.text);
    palette.setColor(QPalette::PlaceholderText, tokens.dim);
    palette.setColor(QPalette::Button, tokens.card);
    palette.setColor(QPalette::ButtonText, tokens.text);
    palette.setColor(QPalette::Highlight, tokens.accent);
    palette.setColor(QPalette::HighlightedText, tokens.on_accent);
    palette.setColor(QPalette::ToolTipBase, tokens.card);
    palette.setColor(QPalette::ToolTipText, tokens.text);
    palette.setColor(QPalette::Link, tokens.accent);
    palette.setColor(QPalette::BrightText, tokens.bad);
    palette.setColor(QPalette::Mid, tokens.line);
    palette.setColor(QPalette::Midlight, tokens.line);
    palette.setColor(QPalette::Dark, tokens.dim);
    palette.setColor(QPalette::Shadow, tokens.line);
    palette.setColor(QPalette::Light, tokens.card);
    for (auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        palette.setColor(QPalette::Disabled, role, tokens.dim);
    palette.setColor(QPalette::Disabled, QPalette::Highlight, tokens.line);
    palette.setColor(QPalette::Disabled, QPalette::HighlightedText, tokens.dim);
    return palette;
}

int motion_ms() { return qApp && qApp->property(reduced_motion_property).toBool() ? 0 : 150; }

QFont body_font() { return sized(body_px, QFont::Normal); }
QFont dim_font() { return sized(dim_px, QFont::Normal); }
QFont card_title_font() { return sized(card_title_px, QFont::DemiBold); }
QFont page_title_font() { return sized(page_title_px, QFont::DemiBold); }

QFont figure_font(int pixels) {
    QFont font = sized(pixels, QFont::Normal);
    if (figures_share_width(font)) return font;
    QFont fixed = QFontDatabase::systemFont(QFontDatabase::FixedFont);
    fixed.setPixelSize(pixels);
    return fixed;
}

}  // namespace qlora::theme
