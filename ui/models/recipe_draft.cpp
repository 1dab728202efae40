#include "ui/models/recipe_draft.h"

#include <algorithm>

#include "core/recipe/fields.h"

namespace qlora::ui {

namespace {
constexpr int settle_ms = 250;  // typing in a field asks once, not at every key
}

RecipeDraft::RecipeDraft(Engine& engine, QObject* parent) : QObject(parent), engine_(engine) {
    ask_later_.setSingleShot(true);
    ask_later_.setInterval(settle_ms);
    connect(&ask_later_, &QTimer::timeout, this, &RecipeDraft::ask);
    connect(&engine, &Engine::catalogue_ready, this, [this](const Catalogue& catalogue) {
        catalogue_ = catalogue;
        emit facts_changed();
    });
    connect(&engine, &Engine::machine_ready, this, [this](const Machine& machine) {
        machine_ = machine;
        recompute();
    });
    connect(&engine, &Engine::model_ready, this, [this](const QString& model, const nn::ModelInfo& info) {
        if (model != asked_model_) return;
        model_ = info;
        model_error_.reset();
        model_pending_ = false;
        recompute();
    });
    connect(&engine, &Engine::model_failed, this, [this](const QString& model, const Error& error) {
        if (model != asked_model_) return;
        model_.reset();
        model_error_ = error;
        model_pending_ = false;
        recompute();
    });
    connect(&engine, &Engine::data_ready, this, [this](const DataSummary& data) {
        if (data.source.toStdString() != recipe_.data.train) return;
        data_ = data;
        data_error_.reset();
        data_pending_ = false;
        recompute();
    });
    connect(&engine, &Engine::data_failed, this, [this](const QString& source, const Error& error) {
        if (source.toStdString() != recipe_.data.train) return;
        data_.reset();
        data_error_ = error;
        data_pending_ = false;
        recompute();
    });
}

void RecipeDraft::set_recipe(const recipe::Recipe& recipe) {
    recipe_ = recipe;
    ask();
    recompute();
    emit edited();
}

namespace {

// Another method: what belongs to the one before goes back to its default, and a base that cannot be trained whole to one that can.
void fit_to_method(recipe::Recipe& recipe) {
    for (const recipe::Field& field : recipe::fields())
        if (field.key.starts_with("method.") && !field.has_effect(recipe)) field.set(recipe, field.default_value());
    const auto kind = recipe.method.kind;
    if (kind != recipe::MethodKind::lora && kind != recipe::MethodKind::full) recipe.qat = {};
    using recipe::Precision;
    if (kind == recipe::MethodKind::full && !recipe::is_float(recipe.precision) && recipe.precision != Precision::native) recipe.precision = Precision::bf16;
}

}  // namespace

bool RecipeDraft::set(const std::string& key, const Json& value) {
    const recipe::Field* field = recipe::find_field(key);
    recipe::Recipe changed = recipe_;
    if (!field || !field->set(changed, value)) return false;
    if (changed == recipe_) return true;
    // Another task learns from other columns: they are guessed anew.
    if (changed.task != recipe_.task) {
        changed.data.columns = {};
        changed.data.problem_type = recipe::ProblemType::automatic;
    }
    if (changed.method.kind != recipe_.method.kind) fit_to_method(changed);
    recipe_ = std::move(changed);
    ask_later_.start();
    recompute();
    emit edited();
    return true;
}

void RecipeDraft::mark_invalid(const std::string& key, bool invalid) {
    if (invalid ? invalid_.insert(key).second : invalid_.erase(key) > 0) emit facts_changed();
}

void RecipeDraft::choose_model(const QString& model) {
    recipe_.model = model.toStdString();
    ask();
    recompute();
    emit edited();
}

void RecipeDraft::choose_data(const QString& train, const QString& held_out) {
    recipe_.data.train = train.toStdString();
    recipe_.data.test = held_out.toStdString();
    recipe_.data.validation.clear();
    recipe_.data.columns = {};
    ask();
    recompute();
    emit edited();
}

void RecipeDraft::choose_defaults() {
    if (!catalogue_) return;
    const auto available = [](const auto& entry) { return entry.available; };
    if (recipe_.model.empty()) {
        const auto model = std::find_if(catalogue_->models.begin(), catalogue_->models.end(), available);
        if (model != catalogue_->models.end()) choose_model(QString::fromStdString(model->id));
    }
    if (recipe_.data.train.empty()) {
        const auto data = std::find_if(catalogue_->datasets.begin(), catalogue_->datasets.end(), available);
        if (data != catalogue_->datasets.end())
            choose_data(QString::fromStdString(data->id), QString::fromStdString(data->held_out.string()));
    }
}

void RecipeDraft::ask() {
    const QString model = QString::fromStdString(recipe_.model);
    const bool other_model = model != asked_model_;
    if (other_model) {
        asked_model_ = model;
        model_.reset();
        model_error_.reset();
        model_pending_ = !model.isEmpty();
        if (model_pending_) engine_.inspect_model(model);
    }
    if (other_model || asked_data_ != recipe_.data || asked_task_ != recipe_.task) {
        const bool other_file = !asked_data_ || asked_data_->train != recipe_.data.train;
        asked_data_ = recipe_.data;
        asked_task_ = recipe_.task;
        if (other_file) data_.reset();  // else the old figures stay until the new ones are here
        data_error_.reset();
        data_pending_ = !recipe_.data.train.empty();
        if (data_pending_) engine_.summarize_data(recipe_);
    }
    if (other_model) emit facts_changed();
}

void RecipeDraft::recompute() {
    recipe::Recipe checked = recipe_;
    if (checked.output.empty()) checked.output = "new";  // the engine chooses a folder
    problems_ = recipe::validate(checked);
    plan_.reset();
    if (model_) {
        try {
            plan_ = engine_.make_plan(recipe_, *model_, data_, machine_);
        } catch (const Error& error) {
            problems_.push_back({error.where(), {}, error.message(), error.hint()});
        }
    }
    emit facts_changed();
}

std::optional<plan::Plan> RecipeDraft::plan_of(const recipe::Recipe& recipe) const {
    if (!model_) return {};
    try {
        return engine_.make_plan(recipe, *model_, data_, machine_);
    } catch (const Error&) {
        return {};
    }
}

QString RecipeDraft::missing() const {
    if (recipe_.model.empty()) return tr("Choose a model");
    if (model_error_) return tr("Choose another model");
    if (recipe_.data.train.empty()) return tr("Choose a dataset");
    if (data_error_) return tr("Choose another dataset");
    if (model_pending_ && !model_) return tr("Reading the model…");
    if (data_pending_ && !data_) return tr("Reading the data…");
    if (invalid_.empty() && problems_.empty()) return {};
    const std::string& key = invalid_.empty() ? problems_.front().field : *invalid_.begin();
    const recipe::Field* field = recipe::find_field(key);
    return tr("Correct “%1”").arg(QString::fromStdString(field ? field->label : key));
}

}  // namespace qlora::ui
