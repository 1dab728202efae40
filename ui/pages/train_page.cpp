#include "ui/pages/train_page.h"

#include <QHBoxLayout>
#include <QMenu>
#include <QPushButton>
#include <QScrollArea>
#include <QToolButton>

#include "ui/models/recipe_draft.h"
#include "ui/pages/train_data_card.h"
#include "ui/pages/train_form.h"
#include "ui/pages/train_model_card.h"
#include "ui/pages/train_preview.h"
#include "ui/pages/train_targets.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/card.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/field_editor.h"
#include "ui/widgets/make.h"
#include "ui/widgets/segmented_control.h"

namespace qlora::ui {

namespace {

using Keys = std::vector<std::string>;

}  // namespace

TrainPage::TrainPage(RecipeDraft& draft, Dialogs& dialogs, QWidget* parent)
    : QWidget(parent), draft_(draft), dialogs_(dialogs) {
    auto* left = make<QVBoxLayout>();
    left->setContentsMargins(20, 8, 0, 0);
    left->setSpacing(8);
    left->addWidget(make_heading());
    error_ = make<ErrorPanel>(this);
    left->addWidget(error_);
    left->addWidget(make_cards(), 1);
    preview_ = make<TrainPreview>(draft, this);
    connect(preview_, &TrainPreview::start_requested, this, &TrainPage::start_requested);
    auto* row = make<QHBoxLayout>(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(12);
    row->addLayout(left, 1);
    row->addWidget(preview_);
}

QWidget* TrainPage::make_heading() {
    auto* heading = make<QWidget>(this);
    auto* row = make<QHBoxLayout>(heading);
    row->setContentsMargins(0, 0, 12, 0);
    row->addWidget(plain_label(tr("Train"), "title", heading));
    row->addStretch(1);
    examples_ = make<QToolButton>(heading);
    examples_->setText(tr("Examples"));
    examples_->setToolTip(tr("Recipes that are ready to start"));
    examples_->setPopupMode(QToolButton::InstantPopup);
    examples_->setFocusPolicy(Qt::StrongFocus);
    examples_->setMenu(make<QMenu>(examples_));
    connect(&draft_, &RecipeDraft::facts_changed, this, &TrainPage::list_examples);
    list_examples();
    row->addWidget(examples_);
    search_ = make<QPushButton>(theme::icon(QStringLiteral("compare")), tr("Search…"), heading);
    connect(search_, &QPushButton::clicked, this, &TrainPage::search_requested);
    row->addWidget(search_);
    level_ = make<SegmentedControl>(tr("Settings shown"), QStringList{tr("Simple"), tr("Advanced")}, heading);
    connect(level_, &SegmentedControl::changed, this, [this](int index) {
        for (TrainForm* form : forms_) form->set_advanced(index == 1);
        emit advanced_changed(index == 1);
    });
    row->addWidget(level_);
    return heading;
}

// A menu once the catalogue has told which recipes there are; the same list is not made twice.
void TrainPage::list_examples() {
    const auto& catalogue = draft_.catalogue();
    const std::size_t count = catalogue ? catalogue->recipes.size() : 0;
    examples_->setVisible(count > 0);
    if (std::size_t(examples_->menu()->actions().size()) == count) return;
    examples_->menu()->clear();
    for (const auto& recipe : catalogue->recipes) {
        auto* action = examples_->menu()->addAction(QString::fromStdString(recipe.name).replace(QLatin1Char('&'), QLatin1String("&&")));
        connect(action, &QAction::triggered, this, [this, recipe] { emit example_chosen(recipe); });
    }
}

QWidget* TrainPage::make_cards() {
    model_ = make<TrainModelCard>(draft_, dialogs_, this);
    data_ = make<TrainDataCard>(draft_, dialogs_, this);
    connect(data_, &TrainDataCard::look_requested, this, &TrainPage::look_at_data_requested);
    auto* method = make<Card>(QStringLiteral("train.method"), tr("Method"), QStringLiteral("method"),
                              Card::Folding::foldable, this);
    auto* method_form = make<TrainForm>(
        draft_, dialogs_,
        Keys{"precision", "double_quantization", "quantization_block", "compute", "task", "method."}, Keys{},
        method);
    method->body()->addWidget(method_form);
    pick_targets_ = method_form->editor("method.target_modules")
                        ->add_button(QStringLiteral("method"), tr("Choose among the model's layers"));
    connect(pick_targets_, &QToolButton::clicked, this, &TrainPage::pick_targets);
    const auto allow_picking = [this] {
        const bool known = draft_.model().has_value();
        pick_targets_->setEnabled(known);
        pick_targets_->setToolTip(known ? tr("Choose among the model's layers") : tr("Choose a model first"));
    };
    connect(&draft_, &RecipeDraft::facts_changed, this, allow_picking);
    allow_picking();
    auto* training = make<Card>(QStringLiteral("train.training"), tr("Training"), QStringLiteral("settings"),
                                Card::Folding::foldable, this);
    auto* training_form = make<TrainForm>(
        draft_, dialogs_, Keys{"train.", "qat.", "early_stopping.", "evaluate.", "name", "output"}, Keys{}, training);
    training->body()->addWidget(training_form);
    find_rate_ = training_form->editor("train.learning_rate")->add_button(QStringLiteral("live"), tr("Find a learning rate"));
    connect(find_rate_, &QToolButton::clicked, this, &TrainPage::rate_requested);
    connect(&draft_, &RecipeDraft::facts_changed, this, &TrainPage::refresh_searching);
    connect(&draft_, &RecipeDraft::edited, this, &TrainPage::refresh_searching);
    refresh_searching();
    cards_ = {model_, data_, method, training};
    forms_ = {data_->form(), method_form, training_form};

    auto* content = make<QWidget>(this);
    auto* column = make<QVBoxLayout>(content);
    column->setContentsMargins(0, 0, 12, 16);
    column->setSpacing(10);
    for (Card* card : cards_) column->addWidget(card);
    column->addStretch(1);
    scroll_ = make<QScrollArea>(this);
    scroll_->setWidgetResizable(true);
    scroll_->setFrameShape(QFrame::NoFrame);
    scroll_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll_->setWidget(content);

    // A folded form says its main values in the heading.
    const auto summarize = [this, method, training] {
        const recipe::Recipe& recipe = draft_.recipe();
        method->set_summary(
            method->unfolded()
                ? QString()
                : tr("%1, base in %2")
                      .arg(QString::fromStdString(recipe::method_title(recipe.method)))
                      .arg(choice_text("precision", std::string(recipe::name(recipe.precision)))));
        training->set_summary(training->unfolded() ? QString()
                                                   : tr("%1 epochs, learning rate %2, batch %3")
                                                         .arg(recipe.train.epochs)
                                                         .arg(recipe.train.learning_rate)
                                                         .arg(recipe.train.batch_size));
    };
    connect(&draft_, &RecipeDraft::edited, this, summarize);
    connect(method, &Card::unfolded_changed, this, summarize);
    connect(training, &Card::unfolded_changed, this, summarize);
    summarize();
    return scroll_;
}

bool TrainPage::advanced() const {
    return level_->current() == 1;
}
void TrainPage::set_advanced(bool advanced) {
    level_->set_current(advanced ? 1 : 0);
}
void TrainPage::choose_model() {
    model_->open_chooser();
}
void TrainPage::choose_data() {
    data_->open_chooser();
}

void TrainPage::set_busy(const QString& why_not) {
    busy_ = why_not;
    refresh_searching();
}

void TrainPage::refresh_searching() {
    const QString why_not = busy_.isEmpty() ? draft_.missing() : busy_;
    search_->setEnabled(why_not.isEmpty());
    search_->setToolTip(why_not.isEmpty() ? tr("Tries this recipe with different settings and keeps the best") : why_not);
    search_->setAccessibleDescription(search_->toolTip());
    find_rate_->setEnabled(why_not.isEmpty());
    find_rate_->setToolTip(why_not.isEmpty() ? tr("Find a learning rate: trains a few steps while the rate grows") : why_not);
}

void TrainPage::pick_targets() {
    const recipe::Recipe& recipe = draft_.recipe();
    auto* picker = make<TargetPicker>(
        *draft_.model(), recipe.method.rank, recipe.method.target_modules,
        [this](const std::vector<std::string>& entries) {
            recipe::Recipe other = draft_.recipe();
            other.method.target_modules = entries;
            return draft_.plan_of(other);
        },
        this);
    picker->setAttribute(Qt::WA_DeleteOnClose);
    connect(picker, &QDialog::accepted, this,
            [this, picker] { draft_.set("method.target_modules", Json(picker->entries())); });
    picker->open();
}

void TrainPage::go_to_field(const std::string& key) {
    for (TrainForm* form : forms_) {
        FieldEditor* editor = form->editor(key);
        if (!editor) continue;
        if (editor->field().level == recipe::Field::Level::advanced) set_advanced(true);
        for (Card* card : cards_)
            if (card->isAncestorOf(editor)) card->set_unfolded(true, false);
        editor->input()->setFocus(Qt::ShortcutFocusReason);
        scroll_->ensureWidgetVisible(editor, 0, 60);
        return;
    }
}

}  // namespace qlora::ui
