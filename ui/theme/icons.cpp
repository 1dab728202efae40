#include "ui/theme/icons.h"

#include <QFile>
#include <QIconEngine>
#include <QPainter>
#include <QPixmapCache>
#include <QSvgRenderer>
#include <optional>

#include "ui/theme/tokens.h"

namespace qlora::theme {

namespace {

QColor color_of(Ink ink) {
    const Tokens& tokens = current();
    switch (ink) {
        case Ink::text: return tokens.text;
        case Ink::dim: return tokens.dim;
        case Ink::accent: return tokens.accent;
        case Ink::on_accent: return tokens.on_accent;
        case Ink::good: return tokens.good;
        case Ink::warning: return tokens.warning;
        case Ink::bad: return tokens.bad;
    }
    return tokens.text;
}

class LineIcon : public QIconEngine {
  public:
    LineIcon(QString name, std::optional<Ink> ink) : name_(std::move(name)), ink_(ink) {}

    void paint(QPainter* painter, const QRect& rect, QIcon::Mode mode, QIcon::State state) override {
        const double ratio = painter->device() ? painter->device()->devicePixelRatioF() : 1.0;
        const int side = std::min(rect.width(), rect.height());
        QRect square(0, 0, side, side);
        square.moveCenter(rect.center());
        painter->drawPixmap(square, icon_pixmap(name_, color(mode, state), side, ratio));
    }
    QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State state) override {
        return icon_pixmap(name_, color(mode, state), std::min(size.width(), size.height()), 1.0);
    }
    QIconEngine* clone() const override { return std::make_unique<LineIcon>(*this).release(); }

  private:
    QColor color(QIcon::Mode mode, QIcon::State state) const {
        if (mode == QIcon::Disabled) return current().dim;
        if (ink_) return color_of(*ink_);
        return state == QIcon::On ? current().accent : current().text;
    }

    QString name_;
    std::optional<Ink> ink_;
};

}  // namespace

QIcon icon(const QString& name) { return QIcon(std::make_unique<LineIcon>(name, std::nullopt).release()); }
QIcon icon(const QString& name, Ink ink) { return QIcon(std::make_unique<LineIcon>(name, ink).release()); }

QPixmap icon_pixmap(const QString& name, const QColor& color, int pixels, double ratio) {
    const QString key = QStringLiteral("qlora-icon/%1/%2/%3/%4").arg(name, color.name()).arg(pixels).arg(ratio);
    QPixmap pixmap;
    if (QPixmapCache::find(key, &pixmap)) return pixmap;
    QFile file(QStringLiteral(":/icons/%1.svg").arg(name));
    if (!file.open(QIODevice::ReadOnly)) return {};
    QSvgRenderer renderer(file.readAll().replace("currentColor", color.name().toLatin1()));
    pixmap = QPixmap(QSize(pixels, pixels) * ratio);
    pixmap.fill(Qt::transparent);
    QPainter painter(&pixmap);
    renderer.render(&painter);
    painter.end();
    pixmap.setDevicePixelRatio(ratio);
    QPixmapCache::insert(key, pixmap);
    return pixmap;
}

}  // namespace qlora::theme
