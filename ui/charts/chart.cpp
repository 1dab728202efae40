#include "ui/charts/chart.h"

#include <qcustomplot.h>

#include <QEvent>
#include <QTimer>
#include <QVBoxLayout>
#include <cmath>
#include <limits>

#include "ui/charts/decimate.h"
#include "ui/charts/legend.h"
#include "ui/charts/ticker.h"
#include "ui/format/format.h"
#include "ui/theme/theme.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {

constexpr int redraw_ms = 34;             // at most 30 a second
constexpr int tick_px = 56;               // room for a tick's label
constexpr int least_points = 200, most_points = 2000;  // drawn a curve
const QString legend_layer = QStringLiteral("marks"), cursor_layer = QStringLiteral("cursor");

}  // namespace

Chart::Chart(const QString& title, const QString& x_label, const QString& y_label, QWidget* parent)
    : QWidget(parent), title_(title), x_label_(x_label), y_label_(y_label), y_text_(&format::figure) {
    setAccessibleName(title);
    timer_ = make<QTimer>(this);
    timer_->setSingleShot(true);
    legend_ = make<ChartLegend>(title, this);
    plot_ = make<QCustomPlot>(this);
    plot_->setMinimumSize(160, 90);
    plot_->axisRect()->setMinimumMargins(QMargins(8, 8, 10, 4));
    plot_->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    plot_->setNoAntialiasingOnDrag(true);
    plot_->setInteractions(QCP::iRangeDrag | QCP::iRangeZoom);
    plot_->axisRect()->setRangeDrag(Qt::Horizontal);
    plot_->axisRect()->setRangeZoom(Qt::Horizontal);
    plot_->setContextMenuPolicy(Qt::CustomContextMenu);
    plot_->installEventFilter(this);
    plot_->addLayer(legend_layer, plot_->layer(QStringLiteral("main")), QCustomPlot::limAbove);
    // The read-out's line has a buffer of its own: following the pointer draws nothing else again.
    plot_->addLayer(cursor_layer, plot_->layer(legend_layer), QCustomPlot::limAbove);
    plot_->layer(cursor_layer)->setMode(QCPLayer::lmBuffered);
    cursor_ = make<QCPItemLine>(plot_);
    cursor_->setLayer(cursor_layer);
    cursor_->setVisible(false);
    plot_->xAxis->setTicker(QSharedPointer<QCPAxisTicker>(
        make<FormattedTicker>([](double value) { return format::count(std::llround(value)); }, true)));
    set_y_text(y_text_);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(2);
    column->addWidget(legend_);
    column->addWidget(plot_, 1);
    connect(timer_, &QTimer::timeout, this, [this] {
        if (isVisible()) redraw();  // a hidden chart draws once, when it is shown
    });
    connect(plot_, &QWidget::customContextMenuRequested, this, &Chart::show_menu);
    connect(plot_, &QCustomPlot::mouseDoubleClick, this, &Chart::fit);
    const auto moved = [this] {
        fitted_ = false;
        schedule();
    };
    connect(plot_, &QCustomPlot::mouseWheel, this, moved);
    connect(plot_, &QCustomPlot::mouseMove, this, [this, moved](QMouseEvent* event) {
        if (event->buttons() & Qt::LeftButton) moved();
        else follow(plot_->xAxis->pixelToCoord(event->position().x()));
    });
    restyle();
}

Chart::~Chart() = default;

int Chart::add_curve(const QString& name, Style style) {
    if (!style.text) style.text = &format::figure;
    Curve curve{name, std::move(style), {}, {}, {}, nullptr, nullptr};
    if (curve.style.smoothed) curve.faint = plot_->addGraph();
    curve.line = plot_->addGraph();
    for (QCPGraph* graph : {curve.faint, curve.line})
        if (graph) graph->setAdaptiveSampling(false);
    curves_.push_back(std::move(curve));
    restyle();
    return int(curves_.size()) - 1;
}

void Chart::remove_curves(int first) {
    while (int(curves_.size()) > first) {
        for (QCPGraph* graph : {curves_.back().faint, curves_.back().line})
            if (graph) plot_->removeGraph(graph);
        curves_.pop_back();
    }
    schedule();
}

void Chart::set_name(int curve, const QString& name) {
    curves_.at(std::size_t(curve)).name = name;
    schedule();
}

void Chart::set_points(int curve, std::vector<double> x, std::vector<double> y) {
    Curve& target = curves_.at(std::size_t(curve));
    target.x = std::move(x);
    target.y = std::move(y);
    target.smooth.clear();
    schedule();
}

void Chart::append(int curve, double x, double y) {
    Curve& target = curves_.at(std::size_t(curve));
    // A resumed run tells again the steps after its checkpoint.
    while (!target.x.empty() && target.x.back() >= x) {
        target.x.pop_back();
        target.y.pop_back();
    }
    target.x.push_back(x);
    target.y.push_back(y);
    schedule();
}

void Chart::clear_points() {
    for (Curve& curve : curves_) curve.x.clear(), curve.y.clear(), curve.smooth.clear();
    fitted_ = true;
    schedule();
}

void Chart::set_marks(const QString& kind, std::vector<Mark> marks, std::function<QColor()> color, Qt::PenStyle dash) {
    auto known = std::find_if(marks_.begin(), marks_.end(), [&](const Marks& m) { return m.kind == kind; });
    if (known == marks_.end()) marks_.push_back({kind, std::move(marks), std::move(color), dash});
    else *known = {kind, std::move(marks), std::move(color), dash};
    schedule();
}

void Chart::set_y_label(const QString& label) {
    if (label == y_label_) return;
    y_label_ = label;
    plot_->yAxis->setLabel(label);
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void Chart::set_log_scale(bool log) {
    log_ = log;
    plot_->yAxis->setScaleType(log ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
    set_y_text(y_text_);
}

void Chart::set_smoothing(double weight) {
    smoothing_ = std::clamp(weight, 0.0, 0.99);
    restyle();
}

void Chart::set_top(double top) {
    top_ = top;
    schedule();
}

void Chart::set_y_from_zero(bool from_zero) {
    from_zero_ = from_zero;
    schedule();
}

void Chart::set_y_text(std::function<QString(double)> text) {
    y_text_ = std::move(text);
    if (log_) plot_->yAxis->setTicker(QSharedPointer<QCPAxisTicker>(make<FormattedLogTicker>(y_text_)));
    else plot_->yAxis->setTicker(QSharedPointer<QCPAxisTicker>(make<FormattedTicker>(y_text_)));
    plot_->yAxis->ticker()->setTickCount(4);
    schedule();
}

void Chart::set_x_text(std::function<QString(double)> text) {
    x_text_ = std::move(text);
    plot_->xAxis->setTicker(QSharedPointer<QCPAxisTicker>(make<FormattedTicker>(x_text_, true)));
    plot_->xAxis->setNumberFormat(QStringLiteral("g"));  // 1e-6 as it is, not as a power drawn small
    schedule();
}

void Chart::fit() {
    fitted_ = true;
    schedule();
}

void Chart::schedule() {
    dirty_ = true;
    if (timer_->isActive()) return;
    // A plot that is slow to draw is drawn less often, so that most of the thread's time is the window's.
    timer_->start(std::max(redraw_ms, int(4 * plot_->replotTime())));
}

void Chart::redraw_now() {
    timer_->stop();
    dirty_ = true;
    redraw();
}

void Chart::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    if (dirty_) redraw();
}

void Chart::redraw() {
    if (!dirty_) return;
    dirty_ = false;
    if (fitted_) {
        double low = INFINITY, high = -INFINITY;
        for (const Curve& curve : curves_)
            if (!curve.x.empty()) low = std::min(low, curve.x.front()), high = std::max(high, curve.x.back());
        if (!(low <= high)) low = 0, high = 10;
        if (high - low < 1) high = low + 1;
        plot_->xAxis->setRange(low, high + (high - low) * 0.02);
    }
    const QCPRange range = plot_->xAxis->range();
    plot_->xAxis->ticker()->setTickCount(std::clamp(plot_->axisRect()->width() / tick_px, 2, 7));
    // More points than pixels only cost time: the rasterizer's grows with the square of the crossings of a line.
    const auto limit = std::size_t(std::clamp(plot_->axisRect()->width(), least_points, most_points));
    for (Curve& curve : curves_) {
        auto draw = [&](QCPGraph* graph, const std::vector<double>& y) {
            Points points = decimate(curve.x, y, range.lower, range.upper, limit);
            if (log_)
                for (double& value : points.y)
                    if (!(value > 0)) value = std::numeric_limits<double>::quiet_NaN();
            graph->setData(QVector<double>(points.x.begin(), points.x.end()), QVector<double>(points.y.begin(), points.y.end()), true);
        };
        if (curve.faint) {
            curve.smooth = smooth(curve.y, smoothing_);
            draw(curve.faint, curve.y);
            draw(curve.line, curve.smooth);
        } else {
            draw(curve.line, curve.y);
        }
    }
    rescale_y();
    draw_marks();
    read_out(pointer_);
    plot_->replot();
}

void Chart::rescale_y() {
    const QCPRange range = plot_->xAxis->range();
    double low = INFINITY, high = -INFINITY;
    for (const Curve& curve : curves_)
        for (const QCPGraph* graph : {curve.faint, curve.line}) {
            if (!graph) continue;
            for (const QCPGraphData& point : *graph->data()) {
                if (!std::isfinite(point.value) || point.value > top_ || point.key < range.lower || point.key > range.upper) continue;
                low = std::min(low, point.value);
                high = std::max(high, point.value);
            }
        }
    if (!(low <= high)) low = log_ ? 0.1 : 0, high = 1;
    if (log_) {
        plot_->yAxis->setRange(low / 1.3, high * 1.3);
        return;
    }
    if (from_zero_) low = std::min(low, 0.0);
    const double spread = high > low ? high - low : std::max(std::abs(high) * 0.1, 1e-9);
    plot_->yAxis->setRange(from_zero_ && low == 0 ? 0 : low - 0.06 * spread, high + 0.1 * spread);
}

void Chart::draw_marks() {
    for (int i = plot_->itemCount() - 1; i >= 0; --i)
        if (plot_->item(i) != cursor_) plot_->removeItem(i);
    for (const Marks& group : marks_)
        for (const Mark& mark : group.marks) {
            auto* line = make<QCPItemLine>(plot_);
            line->setLayer(legend_layer);
            line->setPen(QPen(group.color(), 1, group.dash));
            line->start->setTypeX(QCPItemPosition::ptPlotCoords);
            line->start->setTypeY(QCPItemPosition::ptAxisRectRatio);
            line->end->setTypeX(QCPItemPosition::ptPlotCoords);
            line->end->setTypeY(QCPItemPosition::ptAxisRectRatio);
            line->start->setCoords(mark.x, 1);
            // A mark without a word is a short tick at the foot.
            line->end->setCoords(mark.x, mark.label.isEmpty() ? 0.94 : 0);
            if (mark.label.isEmpty()) {
                line->setPen(QPen(group.color(), 3));
                continue;
            }
            auto* text = make<QCPItemText>(plot_);
            text->setLayer(legend_layer);
            text->setText(mark.label);
            text->setFont(theme::dim_font());
            text->setColor(group.color());
            text->setPadding(QMargins(4, 1, 4, 1));
            text->position->setTypeX(QCPItemPosition::ptPlotCoords);
            text->position->setTypeY(QCPItemPosition::ptAxisRectRatio);
            const QCPRange range = plot_->xAxis->range();
            const bool right = mark.x > range.lower + 0.75 * range.size();
            text->setPositionAlignment((right ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignTop);
            text->position->setCoords(mark.x, 0);
        }
}

void Chart::read_out(std::optional<double> x) {
    std::vector<ChartLegend::Entry> entries;
    double step = 0;
    if (x) {
        double nearest = INFINITY;
        for (const Curve& curve : curves_) {
            if (curve.x.empty()) continue;
            auto at = std::lower_bound(curve.x.begin(), curve.x.end(), *x);
            if (at == curve.x.end() || (at != curve.x.begin() && *x - *std::prev(at) < *at - *x)) --at;
            if (std::abs(*at - *x) < nearest) nearest = std::abs(*at - *x), step = *at;
        }
        if (!std::isfinite(nearest)) x.reset();
    }
    const auto value_at = [&](const Curve& curve) {
        const auto& y = curve.faint && curve.smooth.size() == curve.y.size() ? curve.smooth : curve.y;
        const auto at = x ? std::upper_bound(curve.x.begin(), curve.x.end(), step) : curve.x.end();
        return at == curve.x.begin() ? NAN : y[std::size_t(std::prev(at) - curve.x.begin())];
    };
    double below = 0;  // areas are stacked: each says its own height
    for (const Curve& curve : curves_) {
        const double value = value_at(curve);
        const double own = curve.style.fill ? value - below : value;
        if (curve.style.fill) below = value;
        entries.push_back({curve.name, std::isfinite(own) ? curve.style.text(own) : QStringLiteral("–"),
                           QPen(curve.style.color(), curve.style.width, curve.style.dash),
                           curve.style.fill ? std::optional(curve.style.fill()) : std::nullopt, curve.style.markers});
    }
    legend_->set_entries(std::move(entries));
    legend_->set_position(x ? QStringLiteral("%1 %2").arg(x_label_, x_text_ ? x_text_(step) : format::figure(step)) : QString());
    cursor_->setVisible(x.has_value());
    if (x) {
        cursor_->start->setCoords(step, plot_->yAxis->range().lower);
        cursor_->end->setCoords(step, plot_->yAxis->range().upper);
    }
}

void Chart::follow(std::optional<double> x) {
    pointer_ = x;
    read_out(x);
    cursor_->layer()->replot();
}

void Chart::restyle() {
    const theme::Tokens& tokens = theme::current();
    plot_->setBackground(tokens.card);
    const QFont ticks = theme::figure_font(11);
    for (QCPAxis* axis : {plot_->xAxis, plot_->yAxis}) {
        axis->setBasePen(QPen(tokens.line));
        axis->setTickPen(QPen(tokens.line));
        axis->setSubTickPen(Qt::NoPen);
        axis->setTickLabelColor(tokens.dim);
        axis->setLabelColor(tokens.dim);
        axis->setTickLabelFont(ticks);
        axis->setLabelFont(ticks);
        axis->setLabelPadding(2);
        axis->setTickLength(0, 4);
        axis->grid()->setPen(QPen(tokens.tint(tokens.line, 0.7), 1));
        axis->grid()->setZeroLinePen(QPen(tokens.line));
        axis->grid()->setSubGridVisible(false);
    }
    plot_->xAxis->setLabel(x_label_);
    plot_->yAxis->setLabel(y_label_);
    cursor_->setPen(QPen(tokens.dim, 1, Qt::DotLine));
    for (std::size_t i = 0; i < curves_.size(); ++i) {
        Curve& curve = curves_[i];
        const QColor color = curve.style.color();
        curve.line->setPen(QPen(color, curve.style.width, curve.style.dash, Qt::RoundCap, Qt::RoundJoin));
        if (curve.style.markers)
            curve.line->setScatterStyle(QCPScatterStyle(QCPScatterStyle::ssDisc, QPen(color), QBrush(color), 5));
        if (curve.style.fill) {
            curve.line->setPen(Qt::NoPen);
            curve.line->setAntialiasedFill(false);
            curve.line->setBrush(curve.style.fill());
            curve.line->setChannelFillGraph(i > 0 && curves_[i - 1].style.fill ? curves_[i - 1].line : nullptr);
        }
        if (curve.faint) {
            QColor faint = color;
            faint.setAlphaF(0.28f);
            curve.faint->setPen(QPen(faint, 1));
            curve.faint->setVisible(smoothing_ > 0);
        }
    }
    schedule();
}

std::size_t Chart::drawn_points(int curve) const { return std::size_t(curves_.at(std::size_t(curve)).line->dataCount()); }

std::vector<double> Chart::smoothed_values(int curve) const { return curves_.at(std::size_t(curve)).smooth; }

void Chart::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) restyle();
}

bool Chart::eventFilter(QObject* watched, QEvent* event) {
    if (watched == plot_ && event->type() == QEvent::Leave) follow({});
    return QWidget::eventFilter(watched, event);
}

}  // namespace qlora::ui
