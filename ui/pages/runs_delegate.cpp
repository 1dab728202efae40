#include "ui/pages/runs_delegate.h"

#include <QPainter>
#include <string>

#include "ui/models/runs_model.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/sparkline.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int card_height = 72, margin = 4, padding = 14;
constexpr int figure_width = 96, curve_width = 150, status_width = 138, icon_size = 18;

struct Look {
    QString icon;
    QColor color;
};

// Each status has a sign of its own: colour never speaks alone.
Look look(const QString& status, const theme::Tokens& tokens) {
    if (status == u"running") return {u"play"_s, tokens.accent};
    if (status == u"completed" || status == u"early_stopping") return {u"check"_s, tokens.good};
    if (status == u"stopped_and_saved") return {u"save"_s, tokens.dim};
    if (status == u"interrupted") return {u"pause"_s, tokens.warning};
    if (status == u"failed") return {u"error"_s, tokens.bad};
    return {u"stop"_s, tokens.dim};
}

QRect card_rect(const QRect& item) { return item.adjusted(0, margin, -margin, -margin); }

QRect name_rect(const QRect& card) {
    const int right = 4 * figure_width + curve_width + status_width + 2 * padding;
    return {card.left() + padding, card.top() + 10, std::max(card.width() - padding - right, 80), 24};
}

void draw_text(QPainter& painter, const QRect& rect, const QString& text, const QFont& font, const QColor& color,
               Qt::Alignment alignment = Qt::AlignLeft) {
    painter.setFont(font);
    painter.setPen(color);
    painter.drawText(rect, int(alignment | Qt::AlignVCenter) | Qt::TextSingleLine,
                     QFontMetrics(font).elidedText(text, Qt::ElideRight, rect.width()));
}

}  // namespace

void RunsDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const {
    const auto& tokens = theme::current();
    const QRect card = card_rect(option.rect);
    const bool selected = option.state & QStyle::State_Selected;
    const bool focused = selected && option.state & QStyle::State_HasFocus;
    const bool hovered = option.state & QStyle::State_MouseOver;

    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    painter->setPen(QPen(selected ? tokens.accent : tokens.line, focused ? 2 : 1));
    painter->setBrush(selected ? tokens.tint(tokens.accent, 0.10) : hovered ? tokens.hover() : tokens.card);
    painter->drawRoundedRect(QRectF(card).adjusted(1, 1, -1, -1), theme::radius, theme::radius);

    const QRect name = name_rect(card);
    draw_text(*painter, name, index.data(Qt::DisplayRole).toString(), theme::card_title_font(), tokens.text);
    draw_text(*painter, name.translated(0, 24), index.data(RunsModel::SubtitleRole).toString(), theme::dim_font(), tokens.dim);

    int x = name.right() + padding;
    const QString status = index.data(RunsModel::StatusRole).toString();
    const Look sign = look(status, tokens);
    painter->drawPixmap(x, name.top() + (24 - icon_size) / 2,
                        theme::icon_pixmap(sign.icon, sign.color, icon_size, painter->device()->devicePixelRatioF()));
    draw_text(*painter, {x + icon_size + 6, name.top(), status_width - icon_size - 6, 24},
              status_text(status.toStdString()), theme::body_font(), sign.color);
    draw_text(*painter, {x, name.top() + 24, status_width, 24}, index.data(RunsModel::CreatedRole).toString(),
              theme::dim_font(), tokens.dim);
    x += status_width;

    Sparkline::draw(*painter, QRectF(x, card.top() + 12, curve_width - padding, card.height() - 24),
                    index.data(RunsModel::LossesRole).value<QList<double>>(), tokens.accent);
    x += curve_width;

    const std::pair<int, QString> figures[] = {{RunsModel::BestLossRole, tr("best loss")},
                                               {RunsModel::StepsRole, tr("steps")},
                                               {RunsModel::TimeRole, tr("time")},
                                               {RunsModel::SizeRole, tr("on disk")}};
    for (const auto& [role, caption] : figures) {
        draw_text(*painter, {x, name.top(), figure_width - 8, 24}, index.data(role).toString(), theme::figure_font(),
                  tokens.text, Qt::AlignRight);
        draw_text(*painter, {x, name.top() + 24, figure_width - 8, 24}, caption, theme::dim_font(), tokens.dim, Qt::AlignRight);
        x += figure_width;
    }
    painter->restore();
}

QSize RunsDelegate::sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const {
    return {5 * figure_width + curve_width + status_width, card_height + 2 * margin};
}

void RunsDelegate::updateEditorGeometry(QWidget* editor, const QStyleOptionViewItem& option, const QModelIndex&) const {
    editor->setGeometry(name_rect(card_rect(option.rect)).adjusted(-8, -4, 8, 4));
}

}  // namespace qlora::ui
