#include "ui/pages/train_data_card.h"

#include <QHBoxLayout>
#include <QPushButton>

#include "ui/dialogs/dialogs.h"
#include "ui/format/format.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/train_form.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/choice_list.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

TrainDataCard::TrainDataCard(RecipeDraft& draft, Dialogs& dialogs, QWidget* parent)
    : Card(QStringLiteral("train.data"), tr("Data"), QStringLiteral("data"), Folding::foldable, parent),
      draft_(draft),
      dialogs_(dialogs) {
    auto* look = make<QPushButton>(tr("Look at the rows"), this);
    look->setProperty("look", "quiet");
    connect(look, &QPushButton::clicked, this, &TrainDataCard::look_requested);
    add_action(look);
    change_ = make<QPushButton>(tr("Change"), this);
    change_->setAccessibleName(tr("Change the data set"));
    add_action(change_);

    name_ = make<ElidedLabel>(QString(), this);
    QFont bold = theme::body_font();
    bold.setWeight(QFont::DemiBold);
    name_->setFont(bold);
    name_->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Preferred);
    chips_ = make<ChipRow>(this);
    auto* row = make<QHBoxLayout>();
    row->setSpacing(12);
    row->addWidget(name_);
    row->addWidget(chips_);
    row->addStretch(1);

    sample_ = make<QWidget>(this);
    auto* sample = make<QHBoxLayout>(sample_);
    sample->setContentsMargins(0, 0, 0, 0);
    prompt_ = make<ElidedLabel>(QString(), sample_);
    answer_ = make<ElidedLabel>(QString(), sample_);
    auto* arrow = plain_label(QStringLiteral("→"), "dim", sample_);
    sample->addWidget(prompt_, 2);
    sample->addWidget(arrow);
    sample->addWidget(answer_, 3);
    error_ = make<ErrorPanel>(this);

    chooser_ = make<QWidget>(this);
    auto* column = make<QVBoxLayout>(chooser_);
    column->setContentsMargins(0, 4, 0, 0);
    choices_ = make<ChoiceList>(tr("Ready data sets"), chooser_);
    auto* file = make<QPushButton>(theme::icon(QStringLiteral("file")), tr("Your own file…"), chooser_);
    auto* buttons = make<QHBoxLayout>();
    buttons->addWidget(file);
    buttons->addWidget(
        plain_label(tr("JSON lines, CSV, Parquet or text; or drop one onto the window"), "dim", chooser_));
    buttons->addStretch(1);
    column->addWidget(choices_);
    column->addLayout(buttons);
    chooser_->hide();
    form_ = make<TrainForm>(draft, dialogs, std::vector<std::string>{"data."},
                            std::vector<std::string>{"data.train"}, this);

    body()->addLayout(row);
    body()->addWidget(sample_);
    body()->addWidget(error_);
    body()->addWidget(chooser_);
    body()->addWidget(form_);

    connect(change_, &QPushButton::clicked, this, [this] {
        const bool open = chooser_->isHidden();
        set_unfolded(true);
        chooser_->setVisible(open);
        change_->setText(open ? tr("Done") : tr("Change"));
    });
    connect(choices_, &ChoiceList::chosen, this, &TrainDataCard::choose);
    connect(file, &QPushButton::clicked, this, [this] {
        const QString path = dialogs_.open_file(
            this, tr("A data set"), {},
            tr("Data sets (*.jsonl *.ndjson *.json *.csv *.tsv *.parquet *.txt *.md);;All files (*)"));
        if (!path.isEmpty()) draft_.choose_data(path);
    });
    connect(&draft_, &RecipeDraft::facts_changed, this, &TrainDataCard::refresh);
    connect(this, &Card::unfolded_changed, this,
            [this](bool open) { set_summary(open ? QString() : name_->full_text()); });
    refresh();
}

void TrainDataCard::open_chooser() {
    if (chooser_->isHidden()) change_->click();
    choices_->setFocus();
}

void TrainDataCard::choose(const QString& id) {
    QString held_out;
    for (const auto& set : draft_.catalogue()->datasets)
        if (set.id == id.toStdString() && !set.held_out.empty())
            held_out = QString::fromStdString(set.held_out.string());
    draft_.choose_data(id, held_out);
}

void TrainDataCard::refresh() {
    refresh_choices();
    const auto& data = draft_.data();
    const QString asked = QString::fromStdString(draft_.recipe().data.train);
    error_->setVisible(false);
    sample_->setVisible(data.has_value());
    chips_->set_chips({});
    if (draft_.data_error()) {
        name_->set_text(format::path(asked));
        error_->show_error(*draft_.data_error());
    } else if (data) {
        name_->set_text(data->name);
        QStringList chips{tr("%1 rows").arg(format::count(data->rows))};
        if (data->facts.validation_rows > 0)
            chips << tr("%1 held out").arg(format::count(data->facts.validation_rows));
        if (data->test_rows > 0) chips << tr("%1 for testing").arg(format::count(data->test_rows));
        if (data->facts.mean_tokens > 0)
            chips << tr("%1 tokens a row").arg(format::figure(std::round(data->facts.mean_tokens)));
        chips << data->columns.join(QStringLiteral(" → "));
        chips_->set_chips(chips);
        prompt_->setVisible(!data->prompt.isEmpty());
        prompt_->set_text(QStringLiteral("“%1”").arg(format::one_line(data->prompt, 200)));
        answer_->set_text(QStringLiteral("“%1”").arg(format::one_line(data->answer, 300)));
    } else {
        name_->set_text(asked.isEmpty() ? tr("No data set chosen")
                                        : tr("Reading %1…").arg(format::path(asked)));
    }
    set_summary(unfolded() ? QString() : name_->full_text());
}

void TrainDataCard::refresh_choices() {
    std::vector<ChoiceList::Choice> choices;
    if (draft_.catalogue())
        for (const auto& set : draft_.catalogue()->datasets) {
            QString detail = QString::fromStdString(set.description);
            if (set.rows > 0)
                detail = tr("%1 rows").arg(format::count(set.rows)) + QStringLiteral(" · ") + detail;
            if (!set.available) detail = tr("not on this computer") + QStringLiteral(" · ") + detail;
            choices.push_back(
                {QString::fromStdString(set.id), QString::fromStdString(set.name), detail, set.available});
        }
    choices_->set_choices(choices);
    choices_->set_current(QString::fromStdString(draft_.recipe().data.train));
}

}  // namespace qlora::ui
