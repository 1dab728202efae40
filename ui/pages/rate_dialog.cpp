#include "ui/pages/rate_dialog.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>
#include <cmath>

#include "ui/charts/chart.h"
#include "ui/format/format.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"
#include "ui/widgets/number_box.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int raw = 0, smoothed = 1;

QString rate_text(double rate) { return format::figure(rate); }

// 1e-4, 1e-3, 0.01, 0.1, 1 where a power of ten is meant.
QString tick_text(double logarithm) {
    const double whole = std::round(logarithm);
    if (std::abs(logarithm - whole) > 1e-6) return rate_text(std::pow(10, logarithm));
    return whole > -3 ? QString::number(std::pow(10, whole)) : u"1e%1"_s.arg(int(whole));
}

// Up to where the losses are worth seeing: what breaks away leaves at the top.
double top_of(const search::RateCurve& curve) {
    double most = 0;
    for (const auto& point : curve.points) most = std::max(most, point.smoothed);
    return 1.5 * most;
}

}  // namespace

RateDialog::RateDialog(const recipe::Recipe& recipe, SearchService& service, QWidget* parent)
    : QDialog(parent), recipe_(recipe), service_(service) {
    setWindowTitle(tr("Find a learning rate"));
    resize(720, 500);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(20, 16, 20, 16);
    column->setSpacing(10);
    column->addWidget(plain_label(tr("Learning-rate range test"), "card-title", this));
    column->addWidget(wrapped_label(tr("Trains a few steps while the rate grows from tiny to too large. Where the loss falls most steeply, the "
                                       "model learns best. Nothing of it is kept."),
                                    "dim", this));
    error_ = make<ErrorPanel>(this);
    column->addWidget(error_);

    auto* row = make<QHBoxLayout>();
    row->setSpacing(theme::grid);
    const auto number = [&](const QString& name, NumberBox::Range range, double value) {
        auto* label = plain_label(name, nullptr, this);
        auto* box = make<NumberBox>(range, this);
        box->set_value(value);
        box->setFixedWidth(96);
        box->setAccessibleName(name);
        label->setBuddy(box);
        row->addWidget(label);
        row->addWidget(box);
        connect(box, &NumberBox::text_edited, this, &RateDialog::refresh);
        return box;
    };
    from_ = number(tr("From"), {1e-12, 100, false, {}}, 1e-6);
    to_ = number(tr("to"), {1e-12, 100, false, {}}, 1);
    steps_ = number(tr("in steps"), {10, 100000, true, {}}, 200);
    row->addStretch(1);
    run_ = make<QPushButton>(this);
    connect(run_, &QPushButton::clicked, this, &RateDialog::toggle);
    row->addWidget(run_);
    column->addLayout(row);

    chart_ = make<Chart>(tr("Loss over the rate"), tr("learning rate"), tr("loss"), this);
    chart_->set_x_text(tick_text);
    chart_->add_curve(tr("loss"), {.color = [] { return theme::current().tint(theme::current().dim, 0.6); }, .width = 1, .fill = {}, .text = {}});
    chart_->add_curve(tr("smoothed"), {.color = [] { return theme::current().accent; }, .fill = {}, .text = {}});
    column->addWidget(chart_, 1);
    state_ = make<ElidedLabel>(QString(), this);
    set_look(state_, "dim");
    column->addWidget(state_);

    auto* foot = make<QHBoxLayout>();
    verdict_ = wrapped_label({}, nullptr, this);
    foot->addWidget(verdict_, 1);
    auto* close = make<QPushButton>(tr("Close"), this);
    close->setAutoDefault(false);
    take_ = make<QPushButton>(this);
    take_->setProperty("look", "primary");
    foot->addWidget(close);
    foot->addWidget(take_);
    column->addLayout(foot);
    connect(close, &QPushButton::clicked, this, &QDialog::reject);
    connect(take_, &QPushButton::clicked, this, [this] {
        emit taken(suggested_);
        accept();
    });

    connect(&service_, &SearchService::rate_told, this, [this](const QString& what, double done, double total) {
        state_->set_text(total > 0 ? tr("%1: %2").arg(what, format::percent(done / total)) : what);
    });
    connect(&service_, &SearchService::rate_point, this, &RateDialog::add);
    connect(&service_, &SearchService::rates_ready, this, &RateDialog::show_curve);
    connect(&service_, &SearchService::rates_failed, this, [this](const Error& error) {
        error_->show_error(error);
        state_->set_text({});
    });
    connect(&service_, &SearchService::busy_changed, this, &RateDialog::refresh);
    refresh();
}

void RateDialog::toggle() {
    if (service_.testing()) service_.stop_test();
    else start();
}

void RateDialog::set_steps(int steps) { steps_->set_value(steps); }

void RateDialog::start() {
    error_->clear();
    points_.clear();
    suggested_ = 0;
    chart_->clear_points();
    chart_->set_top(INFINITY);
    chart_->set_marks(u"suggested"_s, {}, [] { return theme::current().good; }, Qt::SolidLine);
    verdict_->clear();
    state_->set_text(tr("Loading"));
    service_.test_rates(recipe_, {*from_->value(), *to_->value(), std::int64_t(*steps_->value())});
}

void RateDialog::add(const search::RatePoint& point) {
    points_.push_back(point);
    chart_->append(raw, std::log10(point.rate), point.loss);
    chart_->append(smoothed, std::log10(point.rate), point.smoothed);
    state_->set_text(tr("Step %1 of %2 · rate %3 · loss %4").arg(points_.size()).arg(steps_->text(), rate_text(point.rate), format::figure(point.loss)));
}

void RateDialog::show_curve(const search::RateCurve& curve) {
    std::vector<double> x, losses, means;
    for (const auto& point : curve.points) {
        x.push_back(std::log10(point.rate));
        losses.push_back(point.loss);
        means.push_back(point.smoothed);
    }
    chart_->set_top(top_of(curve));
    chart_->set_points(raw, x, std::move(losses));
    chart_->set_points(smoothed, std::move(x), std::move(means));
    // To two figures: the test knows no more.
    suggested_ = curve.suggested > 0 ? QString::number(curve.suggested, 'e', 1).toDouble() : 0;
    if (suggested_ > 0)
        chart_->set_marks(u"suggested"_s, {{std::log10(suggested_), tr("suggested %1").arg(rate_text(suggested_))}}, [] { return theme::current().good; }, Qt::SolidLine);
    verdict_->setText(suggested_ > 0   ? tr("The loss falls most steeply at %1.").arg(rate_text(suggested_))
                      : curve.complete ? tr("The loss did not fall by more than its noise. More steps or a larger batch say more.")
                                       : tr("Stopped before a rate could be suggested."));
    state_->set_text(curve.ending == "diverged" ? tr("The loss broke away at %1.").arg(curve.points.empty() ? u"–"_s : rate_text(curve.points.back().rate))
                     : curve.complete           ? tr("The whole range was gone through.")
                                                : tr("Stopped."));
    refresh();
}

void RateDialog::refresh() {
    const bool testing = service_.testing();
    const bool good = from_->value() && to_->value() && steps_->value() && *from_->value() < *to_->value();
    run_->setText(testing ? tr("Stop") : points_.empty() ? tr("Start the test") : tr("Again"));
    run_->setIcon(theme::icon(testing ? u"stop"_s : u"play"_s));
    run_->setEnabled(testing || (good && !service_.busy()));
    run_->setToolTip(good ? QString() : tr("Expected a range that rises, and 10 steps or more"));
    for (QWidget* box : {from_, to_, steps_}) box->setEnabled(!testing);
    take_->setText(suggested_ > 0 ? tr("Take %1").arg(rate_text(suggested_)) : tr("Take it"));
    take_->setEnabled(suggested_ > 0 && !testing);
    take_->setToolTip(take_->isEnabled() ? QString() : tr("The test has not suggested a rate yet"));
}

void RateDialog::done(int result) {
    service_.stop_test();
    QDialog::done(result);
}

}  // namespace qlora::ui
