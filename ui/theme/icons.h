#pragma once
// The project's line icons (resources/icons, 20 px, stroke "currentColor"), drawn in the theme's colours at the
// moment they are painted: an icon set once follows every later switch of the theme.

#include <QIcon>
#include <QPixmap>

namespace qlora::theme {

// `name`: the file's name without ".svg". An unknown name gives an empty icon. Disabled is drawn dim, checked in the accent.
QIcon icon(const QString& name);
// Always in one role's colour.
enum class Ink { text, dim, accent, on_accent, good, warning, bad };
QIcon icon(const QString& name, Ink ink);
QPixmap icon_pixmap(const QString& name, const QColor& color, int pixels, double ratio);

}  // namespace qlora::theme
