#include "ui/widgets/memory_bar.h"

#include <QEvent>
#include <QHelpEvent>
#include <QPainter>
#include <QPainterPath>
#include <QToolTip>
#include <QVariantAnimation>

#include "ui/format/format.h"
#include "ui/theme/theme.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

QString tag_text(MemoryTag tag) {
    switch (tag) {
        case MemoryTag::weights: return MemoryBar::tr("weights");
        case MemoryTag::adapters: return MemoryBar::tr("adapters");
        case MemoryTag::gradients: return MemoryBar::tr("gradients");
        case MemoryTag::optimizer: return MemoryBar::tr("optimizer");
        case MemoryTag::activations: return MemoryBar::tr("activations");
        case MemoryTag::scratch: return MemoryBar::tr("scratch");
        case MemoryTag::other: return MemoryBar::tr("other");
    }
    return {};
}

MemoryBar::MemoryBar(QWidget* parent) : QWidget(parent) {
    setAccessibleName(tr("Memory"));
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    animation_ = make<QVariantAnimation>(this);
    animation_->setStartValue(0.0);
    animation_->setEndValue(1.0);
    animation_->setEasingCurve(QEasingCurve::OutCubic);
    connect(animation_, &QVariantAnimation::valueChanged, this, [this](const QVariant& at) {
        const double share = at.toDouble();
        for (std::size_t i = 0; i < shown_.size(); ++i) {
            const double target = double(i < memory_tag_count ? bytes_.by_tag[i] : others_);
            shown_[i] = from_[i] + (target - from_[i]) * share;
        }
        update();
    });
}

void MemoryBar::set_memory(const MemoryBytes& bytes, std::int64_t total, std::int64_t used_by_others) {
    if (bytes == bytes_ && total == total_ && used_by_others == others_) return;
    bytes_ = bytes;
    total_ = total;
    others_ = used_by_others;
    from_ = shown_;
    setAccessibleDescription(description());
    animation_->stop();
    animation_->setDuration(isVisible() ? theme::motion_ms() : 0);
    animation_->start();
    if (animation_->duration() == 0) {
        for (std::size_t i = 0; i < memory_tag_count; ++i) shown_[i] = double(bytes.by_tag[i]);
        shown_.back() = double(used_by_others);
    }
    update();
}

void MemoryBar::set_thickness(int pixels) {
    thickness_ = pixels;
    updateGeometry();
}

QSize MemoryBar::sizeHint() const { return {160, thickness_}; }
QSize MemoryBar::minimumSizeHint() const { return {40, thickness_}; }

void MemoryBar::paintEvent(QPaintEvent*) {
    const theme::Tokens& tokens = theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const QRectF area = QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5);
    QPainterPath outline;
    outline.addRoundedRect(area, 4, 4);
    painter.fillPath(outline, tokens.tint(tokens.text, 0.07));
    double sum = 0;
    for (double part : shown_) sum += part;
    const double scale = area.width() / std::max({sum, double(total_), 1.0});
    painter.save();
    painter.setClipPath(outline);
    double x = area.left();
    auto part = [&](double bytes, const QBrush& brush) {
        const double width = bytes * scale;
        if (width < 0.2) return;
        painter.setBrushOrigin(QPointF(x, 0));
        painter.fillRect(QRectF(x, area.top(), width, area.height()), brush);
        if (width > 3) painter.fillRect(QRectF(x + width - 1, area.top(), 1, area.height()), tokens.card);
        x += width;
    };
    for (std::size_t i = 0; i < memory_tag_count; ++i)
        part(shown_[i], theme::tag_brush(static_cast<MemoryTag>(i), tokens));
    part(shown_.back(), tokens.tint(tokens.dim, 0.45));
    painter.restore();
    painter.setPen(QPen(fits() ? tokens.control_line() : tokens.bad, fits() ? 1 : 2));
    painter.setBrush(Qt::NoBrush);
    painter.drawPath(outline);
    if (total_ > 0 && sum > double(total_)) {  // where the memory ends
        const double end = area.left() + double(total_) * scale;
        painter.drawLine(QPointF(end, 0), QPointF(end, height()));
    }
}

bool MemoryBar::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        QToolTip::showText(static_cast<QHelpEvent*>(event)->globalPos(), description(), this);
        return true;
    }
    return QWidget::event(event);
}

QString MemoryBar::description() const {
    QStringList lines;
    for (std::size_t i = 0; i < memory_tag_count; ++i)
        if (bytes_.by_tag[i] > 0)
            lines << QStringLiteral("%1: %2").arg(tag_text(static_cast<MemoryTag>(i)), format::bytes(bytes_.by_tag[i]));
    if (others_ > 0) lines << tr("other programs: %1").arg(format::bytes(others_));
    lines << (total_ > 0 ? tr("%1 of %2").arg(format::bytes(bytes_.total() + others_), format::bytes(total_))
                         : tr("%1 in all").arg(format::bytes(bytes_.total())));
    return lines.join(QLatin1Char('\n'));
}

MemoryLegend::MemoryLegend(QWidget* parent) : QWidget(parent) {
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setFont(theme::figure_font(theme::dim_px));
}

void MemoryLegend::set_memory(const MemoryBytes& bytes) {
    bytes_ = bytes;
    setAccessibleName(tr("Memory by use"));
    update();
}

// All tags always have their line, so that the panel below never moves.
QSize MemoryLegend::sizeHint() const { return {200, int(memory_tag_count) * 18}; }

void MemoryLegend::paintEvent(QPaintEvent*) {
    const theme::Tokens& tokens = theme::current();
    QPainter painter(this);
    for (std::size_t i = 0; i < memory_tag_count; ++i) {
        const auto tag = static_cast<MemoryTag>(i);
        const int top = int(i) * 18;
        painter.setBrushOrigin(0, top);
        painter.fillRect(QRect(0, top + 3, 12, 12), theme::tag_brush(tag, tokens));
        painter.setPen(bytes_.by_tag[i] > 0 ? tokens.text : tokens.dim);
        const QRect line(20, top, width() - 20, 18);
        painter.drawText(line, Qt::AlignLeft | Qt::AlignVCenter, tag_text(tag));
        painter.drawText(line, Qt::AlignRight | Qt::AlignVCenter, format::bytes(bytes_.by_tag[i]));
    }
}

}  // namespace qlora::ui
