#include "ui/pages/data_variants.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QScrollBar>
#include <QVBoxLayout>
#include <cmath>

#include "core/base/words.h"
#include "ui/format/format.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/progress_strip.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr std::size_t most_compared = 300;  // words: the comparison takes their product
constexpr std::size_t most_bytes = 8000;    // of a text that are shown

QString html(const std::string& text) {
    const QString shown = QString::fromStdString(text.size() > most_bytes ? text.substr(0, most_bytes) : text);
    return (text.size() > most_bytes ? shown + u'…' : shown).toHtmlEscaped().replace(u'\n', u"<br>"_s);
}

// The engine's words for people.
QString caption_of(const data::VariantView& view) {
    QString caption = view.change.empty() ? VariantList::tr("The same, for balance") : QString::fromStdString(view.change);
    caption[0] = caption[0].toUpper();
    if (view.masked.empty()) return caption;
    QStringList masked;
    for (const std::string& token : view.masked) masked << QString::fromStdString(token).trimmed();
    return VariantList::tr("%1 · masked: %2").arg(caption, masked.join(u", "_s));
}

}  // namespace

VariantList::VariantList(QWidget* parent) : QWidget(parent) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    auto* inner = make<QWidget>(this);
    list_ = make<QVBoxLayout>(inner);
    list_->setContentsMargins(0, 0, 8, 0);
    list_->setSpacing(2);
    scroll_ = make<QScrollArea>(this);
    scroll_->setAccessibleName(tr("Variants of the row"));
    scroll_->setWidgetResizable(true);
    scroll_->setFrameShape(QFrame::NoFrame);
    scroll_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll_->setWidget(inner);
    column->addWidget(scroll_, 1);

    auto* foot = make<QHBoxLayout>();
    hint_ = wrapped_label({}, "dim", this);
    foot->addWidget(hint_, 1);
    progress_ = make<ProgressStrip>(this);
    foot->addWidget(progress_, 1);
    write_ = make<QPushButton>(tr("Write paraphrases"), this);
    set_busy({});
    foot->addWidget(write_);
    column->addLayout(foot);
    connect(write_, &QPushButton::clicked, this, &VariantList::write_wanted);
    connect(progress_, &ProgressStrip::cancelled, this, &VariantList::write_cancelled);
    show_message({});
}

QString VariantList::marked(const std::string& before, const std::string& after) {
    if (before.size() > most_bytes || after.size() > most_bytes) return html(after);
    const Words from(before), to(after);
    if (from.words.size() > most_compared || to.words.size() > most_compared) return html(after);
    const auto changes = compare_words(from, to);
    QString text;
    for (std::size_t i = 0; i < to.words.size(); ++i) {
        const QString word = html(to.words[i].text);
        text += html(to.words[i].before) + (changes.changed[i] ? u"<b>"_s + word + u"</b>"_s : word);
    }
    return text + html(to.rest);
}

void VariantList::clear() {
    while (QLayoutItem* item = list_->takeAt(0)) {
        if (QWidget* widget = item->widget()) widget->deleteLater();
        delete item;
    }
}

void VariantList::add(const QString& caption, const QString& text, bool dim) {
    auto* title = plain_label(caption, "dim");
    title->setWordWrap(true);
    auto* body = wrapped_label({}, dim ? "dim" : nullptr, this);
    body->setTextFormat(Qt::RichText);
    body->setText(text);
    body->setTextInteractionFlags(Qt::TextSelectableByMouse);
    body->setContentsMargins(0, 0, 0, theme::grid);
    // Their least heights are those of narrow columns; what counts is the height for the width they have.
    for (QLabel* label : {title, body}) label->setMinimumHeight(1);
    list_->addWidget(title);
    list_->addWidget(body);
}

void VariantList::show_message(const QString& message) {
    clear();
    list_->addStretch(1);
    can_write_ = false;
    hint_->setText(message);
    set_writing(false);
}

void VariantList::show_variants(const evaluate::RowVariants& row, bool active) {
    if (!row.learned) return show_message(tr("A held-out row: it is measured as it is, and never changed."));
    if (!active)
        return show_message(tr("The recipe makes no variants of training rows. Set variants, paraphrases or balanced classes on the Train page, "
                               "under Data, Advanced."));
    clear();
    for (const auto& view : row.variants) {
        QStringList texts;
        for (std::size_t i = 0; i < view.texts.size(); ++i) texts << marked(i < row.texts.size() ? row.texts[i] : std::string(), view.texts[i]);
        add(caption_of(view), texts.join(u"<br>"_s));
    }
    for (const auto& one : row.refused) {
        const QString reason = tr("Refused: %1").arg(QString::fromStdString(one.refused));
        add(one.similarity == 0 ? reason : tr("%1 · similarity %2").arg(reason, format::figure(std::round(100 * one.similarity) / 100)), html(one.text), true);
    }
    list_->addStretch(1);
    scroll_->verticalScrollBar()->setValue(0);
    can_write_ = row.unwritten;
    hint_->setText(row.unwritten             ? tr("Paraphrases of this row are not written yet; the run writes them before it begins.")
                   : row.variants.empty() ? tr("No variant of this row is used.")
                                          : tr("Words that changed are bold. Only what is read changes, never the answer."));
    set_writing(false);
}

void VariantList::set_writing(bool writing) {
    if (writing) progress_->begin(tr("Writing paraphrases"));
    else progress_->end();
    progress_->setVisible(writing);
    hint_->setVisible(!writing);
    write_->setVisible(can_write_ && !writing);
}

void VariantList::set_busy(const QString& why_not) {
    write_->setEnabled(why_not.isEmpty());
    write_->setToolTip(why_not.isEmpty() ? tr("Has the model write this row in other words, as the run would") : why_not);
    if (!why_not.isEmpty() && hint_->isHidden()) emit write_cancelled();
}

void VariantList::set_progress(const QString& what, double done, double total) {
    if (hint_->isHidden()) progress_->set_progress(what, done, total);
}

}  // namespace qlora::ui
