#include "ui/pages/data_tokens.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QPainter>
#include <QScrollBar>
#include <QToolTip>
#include <algorithm>
#include <array>
#include <cstdlib>

#include "ui/format/format.h"
#include "ui/theme/theme.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int chip_height = 24, chip_padding = 5, gap = 2, line_gap = 6, margin = 8;

QString part_text(TokenStrip::Part part) {
    switch (part) {
        case TokenStrip::Part::trained: return TokenStrip::tr("trained on");
        case TokenStrip::Part::context: return TokenStrip::tr("context only");
        case TokenStrip::Part::cut: return TokenStrip::tr("cut at the limit");
    }
    return {};
}

constexpr std::array parts = {TokenStrip::Part::trained, TokenStrip::Part::context, TokenStrip::Part::cut};

}  // namespace

TokenStrip::TokenStrip(QWidget* parent) : QAbstractScrollArea(parent) {
    setFocusPolicy(Qt::StrongFocus);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setAccessibleName(tr("Tokens of the chosen row"));
    viewport()->setMouseTracking(true);
    viewport()->setAutoFillBackground(false);
    setFrameShape(QFrame::NoFrame);
}

QString TokenStrip::visible_text(const std::string& bytes) {
    QString text = QString::fromStdString(bytes);
    if (text.contains(QChar::ReplacementCharacter) && bytes.find("\xEF\xBF\xBD") == std::string::npos)
        return QString::fromLatin1(QByteArray::fromStdString(bytes).toHex(' ')).toUpper().prepend(u'⟨').append(u'⟩');
    text.replace(u' ', u'·').replace(u'\n', u'⏎').replace(u'\t', u'⇥').replace(u'\r', u'␍');
    for (QChar& character : text)
        if (character.unicode() < 0x20 || character.category() == QChar::Other_Control) character = QChar(0x2400);
    return text.isEmpty() ? u"∅"_s : text;
}

void TokenStrip::set_tokens(std::vector<data::TokenView> tokens) {
    chips_.clear();
    chips_.reserve(tokens.size());
    for (auto& token : tokens) {
        Chip chip;
        chip.text = visible_text(token.text);
        chip.token = std::move(token);
        chips_.push_back(std::move(chip));
    }
    current_ = hovered_ = -1;
    arrange();
    verticalScrollBar()->setValue(0);
    setAccessibleDescription(tr("%1 tokens").arg(format::count(count())));
    viewport()->update();
    emit current_changed(-1);
}

void TokenStrip::arrange() {
    const QFontMetrics metrics(theme::body_font());
    const int right = viewport()->width() - margin;
    int x = margin, y = margin;
    for (Chip& chip : chips_) {
        const int width = std::min(metrics.horizontalAdvance(chip.text) + 2 * chip_padding, std::max(right - margin, 40));
        if (x > margin && x + width > right) {
            x = margin;
            y += chip_height + line_gap;
        }
        chip.rect = {x, y, width, chip_height};
        x += width + gap;
        // A line break in the text breaks the line here too, so that the row keeps its shape.
        if (chip.token.text.ends_with('\n')) {
            x = margin;
            y += chip_height + line_gap;
        }
    }
    const int height = chips_.empty() ? 0 : chips_.back().rect.bottom() + margin;
    verticalScrollBar()->setSingleStep(chip_height + line_gap);
    verticalScrollBar()->setPageStep(viewport()->height());
    verticalScrollBar()->setRange(0, std::max(0, height - viewport()->height()));
}

QString TokenStrip::description(int token) const {
    if (token < 0 || token >= count()) return {};
    const Chip& chip = chips_[token];
    return tr("Token %1 of %2 · id %3 · “%4” · %5")
        .arg(format::count(token + 1), format::count(count()), QString::number(chip.token.id), chip.text,
             part_text(chip.part()));
}

QRect TokenStrip::chip_rect(int token) const {
    return token < 0 || token >= count() ? QRect() : chips_[token].rect.translated(0, -verticalScrollBar()->value());
}

int TokenStrip::token_at(const QPoint& position) const {
    const QPoint point = position + QPoint(0, verticalScrollBar()->value());
    // Lines come in order of their bottoms, so the search can start at the first one that reaches the point.
    auto at = std::ranges::lower_bound(chips_, point.y(), {}, [](const Chip& chip) { return chip.rect.bottom(); });
    for (; at != chips_.end() && at->rect.top() <= point.y(); ++at)
        if (at->rect.contains(point)) return int(at - chips_.begin());
    return -1;
}

void TokenStrip::set_current(int token) {
    if (chips_.empty()) return;
    token = std::clamp(token, 0, count() - 1);
    if (token != current_) {
        current_ = token;
        setAccessibleDescription(description(token));
        emit current_changed(token);
    }
    const QRect rect = chips_[token].rect;
    QScrollBar* bar = verticalScrollBar();
    if (rect.top() < bar->value()) bar->setValue(rect.top() - margin);
    if (rect.bottom() > bar->value() + viewport()->height()) bar->setValue(rect.bottom() + margin - viewport()->height());
    viewport()->update();
}

void TokenStrip::draw_chip(QPainter& painter, const QRect& rect, Part part, const QString& text) {
    const auto& tokens = theme::current();
    const bool trained = part == Part::trained, cut = part == Part::cut;
    painter.setPen(Qt::NoPen);
    painter.setBrush(trained ? tokens.tint(tokens.accent, 0.16) : tokens.tint(tokens.dim, 0.10));
    painter.drawRoundedRect(rect, 3, 3);
    if (cut) {
        painter.setBrush(QBrush(tokens.tint(tokens.dim, 0.30), Qt::BDiagPattern));
        painter.drawRoundedRect(rect, 3, 3);
    }
    QPen foot(trained ? tokens.accent : tokens.dim, trained ? 2 : 1, trained ? Qt::SolidLine : Qt::DotLine);
    foot.setCapStyle(Qt::FlatCap);
    painter.setPen(foot);
    const qreal y = rect.bottom() + (trained ? 0.0 : 0.5);
    painter.drawLine(QPointF(rect.left() + 2, y), QPointF(rect.right() - 1, y));
    QFont font = theme::body_font();
    font.setStrikeOut(cut);
    painter.setFont(font);
    painter.setPen(trained ? tokens.text : tokens.dim);
    const QRect inner = rect.adjusted(chip_padding, 0, -chip_padding, -2);
    const QString shown = painter.fontMetrics().elidedText(text, Qt::ElideRight, inner.width() + 1);
    painter.drawText(inner, Qt::AlignVCenter | Qt::AlignLeft | Qt::TextSingleLine, shown);
}

void TokenStrip::paintEvent(QPaintEvent* event) {
    QPainter painter(viewport());
    painter.setRenderHint(QPainter::Antialiasing);
    const int offset = verticalScrollBar()->value();
    auto at = std::ranges::lower_bound(chips_, event->rect().top() + offset, {},
                                       [](const Chip& chip) { return chip.rect.bottom(); });
    for (; at != chips_.end() && at->rect.top() - offset <= event->rect().bottom(); ++at) {
        const QRect rect = at->rect.translated(0, -offset);
        draw_chip(painter, rect, at->part(), at->text);
        const int token = int(at - chips_.begin());
        if (token != hovered_ && !(token == current_ && hasFocus())) continue;
        painter.setBrush(Qt::NoBrush);
        painter.setPen(QPen(theme::current().accent, token == current_ && hasFocus() ? 2 : 1));
        painter.drawRoundedRect(rect.adjusted(-1, -1, 1, 2), 4, 4);
    }
}

void TokenStrip::resizeEvent(QResizeEvent*) { arrange(); }

void TokenStrip::changeEvent(QEvent* event) {
    if (event->type() == QEvent::FontChange || event->type() == QEvent::PaletteChange) {
        arrange();
        viewport()->update();
    }
    QAbstractScrollArea::changeEvent(event);
}

// The token of the line above or below that is nearest to this one's middle.
int TokenStrip::near_line(int token, int direction) const {
    const int line = chips_[token].rect.top(), middle = chips_[token].rect.center().x();
    int at = token;
    while (at >= 0 && at < count() && chips_[at].rect.top() == line) at += direction;
    if (at < 0 || at >= count()) return token;
    const int wanted = chips_[at].rect.top();
    int best = at;
    for (; at >= 0 && at < count() && chips_[at].rect.top() == wanted; at += direction)
        if (std::abs(chips_[at].rect.center().x() - middle) < std::abs(chips_[best].rect.center().x() - middle)) best = at;
    return best;
}

void TokenStrip::keyPressEvent(QKeyEvent* event) {
    if (chips_.empty()) return QAbstractScrollArea::keyPressEvent(event);
    const int token = std::max(current_, 0);
    switch (event->key()) {
        case Qt::Key_Right: return set_current(current_ + 1);
        case Qt::Key_Left: return set_current(token - 1);
        case Qt::Key_Down: return set_current(current_ < 0 ? 0 : near_line(token, 1));
        case Qt::Key_Up: return set_current(near_line(token, -1));
        case Qt::Key_Home: return set_current(0);
        case Qt::Key_End: return set_current(count() - 1);
        default: return QAbstractScrollArea::keyPressEvent(event);
    }
}

void TokenStrip::mousePressEvent(QMouseEvent* event) {
    if (const int token = token_at(event->pos()); token >= 0) set_current(token);
}

void TokenStrip::mouseMoveEvent(QMouseEvent* event) {
    const int token = token_at(event->pos());
    if (token == hovered_) return;
    hovered_ = token;
    viewport()->update();
}

bool TokenStrip::viewportEvent(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const int token = token_at(help->pos());
        const QString text = token < 0 ? QString() : u"<p>%1</p>"_s.arg(description(token).toHtmlEscaped());
        QToolTip::showText(help->globalPos(), text, viewport(), chip_rect(token));
        return true;
    }
    if (event->type() == QEvent::Leave) {
        hovered_ = -1;
        viewport()->update();
    }
    return QAbstractScrollArea::viewportEvent(event);
}

TokenLegend::TokenLegend(QWidget* parent) : QWidget(parent) {
    setAccessibleName(tr("Legend: solid foot, trained on; dotted foot, context only; struck out, cut at the limit"));
}

QSize TokenLegend::sizeHint() const {
    const QFontMetrics metrics(theme::body_font());
    int width = 0;
    for (auto part : parts) width += metrics.horizontalAdvance(part_text(part)) + 2 * chip_padding + theme::grid;
    return {width - theme::grid, chip_height + 3};
}

void TokenLegend::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    int x = 0;
    for (auto part : parts) {
        const int width = QFontMetrics(theme::body_font()).horizontalAdvance(part_text(part)) + 2 * chip_padding;
        TokenStrip::draw_chip(painter, {x, 0, width, chip_height}, part, part_text(part));
        x += width + theme::grid;
    }
}

}  // namespace qlora::ui
