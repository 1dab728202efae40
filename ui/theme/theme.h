#pragma once
// Switches the whole application between light, dark and the system's choice, live. Widgets follow through
// QEvent::PaletteChange and theme::current(); they never hold a Theme.

#include <QObject>
#include <QPalette>

#include "ui/theme/tokens.h"

class QApplication;

namespace qlora::theme {

enum class Scheme { system, light, dark };

class Theme : public QObject {
    Q_OBJECT
  public:
    // Made once, before the first window: remembers the system's palette and sets style, fonts and palette.
    explicit Theme(QApplication& application, Scheme scheme = Scheme::system);

    Scheme scheme() const { return scheme_; }
    void set_scheme(Scheme scheme);
    // 150 ms, or 0 when the system or the user asks for reduced motion.
    void set_reduced_motion(bool reduced);

  signals:
    void scheme_changed();

  private:
    void apply();

    QApplication& application_;
    Scheme scheme_;
    bool system_is_dark_;
};

QPalette palette(const Tokens& tokens);
QString style_sheet(const Tokens& tokens);
// The length of an explaining animation in ms; 0 under reduced motion.
int motion_ms();

QFont body_font();
QFont dim_font();
QFont card_title_font();
QFont page_title_font();
// The body font if its figures share one width, else the system's fixed font: a figure never changes width.
QFont figure_font(int pixels = body_px);

}  // namespace qlora::theme
