#include "ui/pages/evaluate_delegates.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QListView>
#include <QPainter>
#include <QShortcut>
#include <algorithm>
#include <array>

#include "ui/models/chat_model.h"
#include "ui/models/evaluation_model.h"
#include "ui/pages/evaluate_text.h"
#include "ui/theme/theme.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int gap = 8, padding = 10, figure_height = 20, line_height = 18;
constexpr int scroll_bar_width = 12;
constexpr double bubble_share = 0.88;

// Without the scroll bar, shown or not: nothing is wrapped anew when it comes.
int view_width(const QStyleOptionViewItem& option) {
    const auto* view = qobject_cast<const QAbstractItemView*>(option.widget);
    return view ? view->width() - scroll_bar_width : std::max(option.rect.width(), 200);
}

int bubble_text_width(const QStyleOptionViewItem& option) {
    return int(view_width(option) * bubble_share) - 2 * padding;
}

// While the first token is on its way the bubble is there already.
QString message_text(const QModelIndex& index) {
    const QString text = index.data().toString();
    if (index.data(ChatModel::StreamingRole).toBool()) return text + u"▍"_s;
    return text.isEmpty() ? ChatDelegate::tr("(an empty answer)") : text;
}

std::array<std::pair<QString, int>, 3> columns() {
    return {{{AnswerDelegate::tr("Expected"), EvaluationModel::ExpectedRole},
             {AnswerDelegate::tr("Base"), EvaluationModel::BaseRole},
             {AnswerDelegate::tr("Tuned"), EvaluationModel::TunedRole}}};
}

int column_width(int width) { return (width - 4 * padding - 2 * gap) / 3; }

QString answer_text(const QModelIndex& index, int role) {
    const QString text = index.data(role).toString();
    return text.isEmpty() ? u"–"_s : text;
}

QFont question_font() {
    QFont font = theme::body_font();
    font.setWeight(QFont::DemiBold);
    return font;
}

}  // namespace

void ChatDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const {
    const auto& tokens = theme::current();
    const bool model = index.data(ChatModel::SpeakerRole).toBool(), failed = index.data(ChatModel::FailedRole).toBool();
    const QString text = message_text(index), figure = index.data(ChatModel::FigureRole).toString();
    const int most = bubble_text_width(option);
    const int natural = QFontMetrics(theme::body_font()).size(0, text).width() + 2;
    const int width = (model ? most : std::min(natural, most)) + 2 * padding;
    const int height = wrapped_height(text, theme::body_font(), width - 2 * padding) + 2 * padding;
    const int left = option.rect.left() + (model ? gap / 2 : view_width(option) - gap / 2 - width);
    const QRect bubble(left, option.rect.top() + gap / 2, width, height);

    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    const bool current = option.state & QStyle::State_HasFocus;
    painter->setPen(current ? QPen(tokens.accent, 2) : failed ? QPen(tokens.bad) : QPen(Qt::NoPen));
    painter->setBrush(failed ? tokens.tint(tokens.bad, 0.10)
                             : tokens.tint(model ? tokens.dim : tokens.accent, model ? 0.10 : 0.16));
    painter->drawRoundedRect(bubble, 8, 8);
    draw_wrapped(*painter, bubble.adjusted(padding, padding, -padding, -padding), text, theme::body_font(),
                 failed ? tokens.bad : tokens.text);
    if (!figure.isEmpty()) {
        painter->setFont(theme::dim_font());
        painter->setPen(tokens.dim);
        painter->drawText(QRect(bubble.left() + padding, bubble.bottom() + 2, most, figure_height),
                          Qt::AlignLeft | Qt::AlignVCenter | Qt::TextSingleLine, figure);
    }
    painter->restore();
}

QSize ChatDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const {
    const int height = wrapped_height(message_text(index), theme::body_font(), bubble_text_width(option)) + 2 * padding + gap;
    // The line for the figures is kept from the start: nothing jumps when the answer ends.
    return {100, height + (index.data(ChatModel::SpeakerRole).toBool() ? figure_height + 2 : 0)};
}

void AnswerDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const {
    const auto& tokens = theme::current();
    QRect card = option.rect.adjusted(1, gap / 2, 0, -gap / 2);
    card.setWidth(view_width(option) - 2);
    const bool selected = option.state & QStyle::State_Selected;
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    painter->setPen(QPen(selected ? tokens.accent : tokens.line, option.state & QStyle::State_HasFocus ? 2 : 1));
    painter->setBrush(tokens.card);
    painter->drawRoundedRect(card, theme::radius, theme::radius);

    const int inner = card.width() - 2 * padding;
    const QString question = index.data().toString();
    const int question_height = wrapped_height(question, question_font(), inner);
    draw_wrapped(*painter, {card.left() + padding, card.top() + padding, inner, question_height}, question,
                 question_font(), tokens.text);
    const int top = card.top() + padding + question_height + gap, width = column_width(view_width(option));
    int x = card.left() + padding;
    for (const auto& [caption, role] : columns()) {
        painter->setFont(theme::dim_font());
        painter->setPen(tokens.dim);
        painter->drawText(QRect(x, top, width, line_height), Qt::AlignLeft | Qt::AlignVCenter, caption);
        if (role == EvaluationModel::TunedRole)
            painter->fillRect(QRect(x - gap / 2 - 2, top, 2, card.bottom() - padding - top), tokens.accent);
        draw_wrapped(*painter, {x, top + line_height, width, card.height()}, answer_text(index, role), theme::body_font(),
                     role == EvaluationModel::BaseRole ? tokens.dim : tokens.text);
        x += width + padding + gap / 2;
    }
    painter->restore();
}

QSize AnswerDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const {
    const int view = view_width(option);
    int tallest = 0;
    for (const auto& [caption, role] : columns())
        tallest = std::max(tallest, wrapped_height(answer_text(index, role), theme::body_font(), column_width(view)));
    const int question = wrapped_height(index.data().toString(), question_font(), view - 2 * padding - 2);
    return {100, question + line_height + tallest + 2 * padding + 2 * gap};
}

QListView* reading_list(const QString& accessible_name, QStyledItemDelegate* delegate, QWidget* parent) {
    auto* list = make<QListView>(parent);
    delegate->setParent(list);
    list->setItemDelegate(delegate);
    list->setAccessibleName(accessible_name);
    list->setObjectName(u"reading"_s);
    list->setStyleSheet(u"QListView#reading, QListView#reading:focus { background: transparent; border: none; }"_s);
    list->setResizeMode(QListView::Adjust);
    list->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    list->setEditTriggers(QAbstractItemView::NoEditTriggers);
    list->setFrameShape(QFrame::NoFrame);
    auto* copy = make<QShortcut>(QKeySequence::Copy, list, nullptr, nullptr, Qt::WidgetShortcut);
    QObject::connect(copy, &QShortcut::activated, list, [list] {
        const QModelIndex index = list->currentIndex();
        if (index.isValid()) QGuiApplication::clipboard()->setText(index.data(Qt::AccessibleTextRole).toString());
    });
    return list;
}

}  // namespace qlora::ui
