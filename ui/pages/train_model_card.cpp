#include "ui/pages/train_model_card.h"

#include <QHBoxLayout>
#include <QPushButton>

#include "ui/dialogs/dialogs.h"
#include "ui/format/format.h"
#include "ui/models/recipe_draft.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/choice_list.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"
#include "ui/widgets/notice_row.h"

namespace qlora::ui {

TrainModelCard::TrainModelCard(RecipeDraft& draft, Dialogs& dialogs, QWidget* parent)
    : Card(QStringLiteral("train.model"), tr("Model"), QStringLiteral("model"), Folding::foldable, parent),
      draft_(draft),
      dialogs_(dialogs) {
    change_ = make<QPushButton>(tr("Change"), this);
    change_->setAccessibleName(tr("Change the model"));
    add_action(change_);
    auto* row = make<QHBoxLayout>();
    row->setSpacing(12);
    name_ = make<ElidedLabel>(QString(), this);
    QFont bold = theme::body_font();
    bold.setWeight(QFont::DemiBold);
    name_->setFont(bold);
    name_->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Preferred);
    chips_ = make<ChipRow>(this);
    row->addWidget(name_);
    row->addWidget(chips_);
    row->addStretch(1);
    note_ = make<ElidedLabel>(QString(), this);
    note_->setProperty("look", "dim");
    notices_ = make<QVBoxLayout>();
    notices_->setSpacing(4);
    error_ = make<ErrorPanel>(this);

    chooser_ = make<QWidget>(this);
    auto* column = make<QVBoxLayout>(chooser_);
    column->setContentsMargins(0, 4, 0, 0);
    choices_ = make<ChoiceList>(tr("Ready models"), chooser_);
    auto* folder = make<QPushButton>(theme::icon(QStringLiteral("folder")), tr("Model folder…"), chooser_);
    auto* file = make<QPushButton>(theme::icon(QStringLiteral("file")), tr(".gguf file…"), chooser_);
    auto* buttons = make<QHBoxLayout>();
    buttons->addWidget(folder);
    buttons->addWidget(file);
    buttons->addWidget(plain_label(tr("or drop one onto the window"), "dim", chooser_));
    buttons->addStretch(1);
    column->addWidget(choices_);
    column->addLayout(buttons);
    chooser_->hide();

    body()->addLayout(row);
    body()->addWidget(note_);
    body()->addLayout(notices_);
    body()->addWidget(error_);
    body()->addWidget(chooser_);

    connect(change_, &QPushButton::clicked, this, [this] {
        const bool open = chooser_->isHidden();
        set_unfolded(true);
        chooser_->setVisible(open);
        change_->setText(open ? tr("Done") : tr("Change"));
    });
    connect(choices_, &ChoiceList::chosen, &draft_, [this](const QString& id) { draft_.choose_model(id); });
    connect(folder, &QPushButton::clicked, this, [this] {
        const QString path = dialogs_.open_folder(this, tr("A model in Hugging Face layout"), {});
        if (!path.isEmpty()) draft_.choose_model(path);
    });
    connect(file, &QPushButton::clicked, this, [this] {
        const QString path = dialogs_.open_file(this, tr("A GGUF model"), {}, tr("GGUF models (*.gguf)"));
        if (!path.isEmpty()) draft_.choose_model(path);
    });
    connect(&draft_, &RecipeDraft::facts_changed, this, &TrainModelCard::refresh);
    connect(this, &Card::unfolded_changed, this,
            [this](bool open) { set_summary(open ? QString() : name_->full_text()); });
    refresh();
}

void TrainModelCard::open_chooser() {
    if (chooser_->isHidden()) change_->click();
    choices_->setFocus();
}

void TrainModelCard::refresh() {
    refresh_choices();
    const auto& model = draft_.model();
    const QString asked = QString::fromStdString(draft_.recipe().model);
    const bool failed = draft_.model_error().has_value();
    error_->setVisible(failed);
    // What keeps a run from starting is not folded away; the user may fold it again.
    if (failed && !failed_) set_unfolded(true, false);
    failed_ = failed;
    QStringList chips, note, notices;
    if (failed) {
        error_->show_error(*draft_.model_error());
        name_->set_text(format::path(asked));
    } else if (model) {
        name_->set_text(QString::fromStdString(model->name));
        QString family = QString::fromStdString(model->family);
        if (!family.isEmpty()) family[0] = family[0].toUpper();
        chips = {family, tr("%1 parameters").arg(format::parameters(model->parameters)),
                 tr("%1 context").arg(format::tokens(model->context)),
                 QString::fromStdString(model->quantization.empty() ? model->dtype : model->quantization),
                 format::bytes(model->file_bytes)};
        const QString layers = model->encoder_layers > 0 && model->layers > 0
                                   ? tr("%1 + %2 layers").arg(model->encoder_layers).arg(model->layers)
                                   : tr("%1 layers").arg(model->encoder_layers + model->layers);
        note = {QString::fromStdString(model->format), layers, QString::fromStdString(model->tokenizer),
                model->chat_template ? tr("chat template") : tr("no chat template"),
                model->licence.empty() ? tr("licence not named") : QString::fromStdString(model->licence)};
        note.removeAll(QString());
        for (const auto& notice : model->notices) notices << QString::fromStdString(notice);
    } else {
        name_->set_text(asked.isEmpty() ? tr("No model chosen") : format::path(asked));
        note << (asked.isEmpty() ? tr("Choose a ready model, or bring a folder or a .gguf file.")
                                 : tr("Reading its headers…"));
    }
    chips_->set_chips(chips);
    note_->set_text(note.join(QStringLiteral(" · ")));
    note_->setVisible(!note.isEmpty());
    show_notices(notices);
    set_summary(unfolded() ? QString() : name_->full_text());
}

void TrainModelCard::show_notices(const QStringList& notices) {
    if (notices == shown_notices_) return;
    shown_notices_ = notices;
    while (QLayoutItem* item = notices_->takeAt(0)) {
        std::unique_ptr<QLayoutItem> owned(item);
        if (item->widget()) item->widget()->deleteLater();
    }
    for (const QString& notice : notices)
        notices_->addWidget(make<NoticeRow>(NoticeRow::Weight::info, notice, this));
}

void TrainModelCard::refresh_choices() {
    std::vector<ChoiceList::Choice> choices;
    if (draft_.catalogue())
        for (const auto& model : draft_.catalogue()->models) {
            QString detail = QString::fromStdString(model.description);
            if (model.bytes > 0) detail = format::bytes(model.bytes) + QStringLiteral(" · ") + detail;
            if (!model.available) detail = tr("not on this computer") + QStringLiteral(" · ") + detail;
            choices.push_back({QString::fromStdString(model.id), QString::fromStdString(model.name), detail,
                               model.available});
        }
    choices_->set_choices(choices);
    choices_->set_current(QString::fromStdString(draft_.recipe().model));
}

}  // namespace qlora::ui
