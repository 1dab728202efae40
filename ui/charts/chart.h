#pragma once
// The one look of all plots: labelled axes with units, a light grid, a legend above the data that reads out every
// curve at the step under the pointer. Wheel zooms x, dragging pans, double click fits; the right button offers log
// scale, smoothing and export. Values that are no finite numbers are gaps. UI thread only.

#include <QColor>
#include <QWidget>
#include <cmath>
#include <functional>
#include <optional>
#include <span>
#include <vector>

class QCPGraph;
class QCPItemLine;
class QCPRange;
class QCustomPlot;
class QMenu;
class QTimer;

namespace qlora::ui {

class ChartLegend;

class Chart : public QWidget {
    Q_OBJECT
  public:
    // A curve's look as a function of the theme, so that switching themes restyles it.
    struct Style {
        std::function<QColor()> color;
        Qt::PenStyle dash = Qt::SolidLine;
        double width = 2;
        bool markers = false;
        bool smoothed = false;   // an exponential mean is drawn, the values themselves faintly behind it
        std::function<QBrush()> fill;  // with it: an area down to the curve added before, or to 0
        std::function<QString(double)> text;  // of the read-out; default: three figures
    };

    Chart(const QString& title, const QString& x_label, const QString& y_label, QWidget* parent = nullptr);
    ~Chart() override;

    int add_curve(const QString& name, Style style);
    void remove_curves(int first);  // that one and all after it
    void set_name(int curve, const QString& name);
    // Replaces a curve's points; x must rise. Drawn at the next of at most 30 redraws a second, with at most 2,000
    // points a curve, the extremes of each stretch kept.
    void set_points(int curve, std::vector<double> x, std::vector<double> y);
    void append(int curve, double x, double y);
    void clear_points();

    // Vertical marks with a label: "best", "checkpoint". Replaces those of the same kind.
    struct Mark {
        double x = 0;
        QString label;
    };
    void set_marks(const QString& kind, std::vector<Mark> marks, std::function<QColor()> color, Qt::PenStyle dash);

    void set_y_label(const QString& label);
    void set_log_scale(bool log);
    bool log_scale() const { return log_; }
    void set_smoothing(double weight);  // of the past, 0 (none) to 0.99
    double smoothing() const { return smoothing_; }
    void set_y_from_zero(bool from_zero);
    void set_top(double top);  // points above it do not widen the axis: it takes those below; infinity: all
    void set_y_text(std::function<QString(double)> text);  // of the axis ticks: bytes, ...
    void set_x_text(std::function<QString(double)> text);  // of ticks and read-out; x are then no steps: logarithms, say
    void fit();

    // Throws failure "chart.export" naming the path.
    void export_png(const QString& path, double scale = 2);
    void export_svg(const QString& path);
    void export_csv(const QString& path) const;

    QCustomPlot* plot() const { return plot_; }
    std::size_t curves() const { return curves_.size(); }
    std::size_t drawn_points(int curve) const;
    std::vector<double> smoothed_values(int curve) const;
    void redraw_now();  // instead of at the next tick

  signals:
    void export_requested(const QString& suffix);  // "png", "svg" or "csv": the page asks where to

  protected:
    void changeEvent(QEvent* event) override;
    void showEvent(QShowEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    struct Curve {
        QString name;
        Style style;
        std::vector<double> x, y, smooth;
        QCPGraph* line = nullptr;
        QCPGraph* faint = nullptr;
    };
    struct Marks {
        QString kind;
        std::vector<Mark> marks;
        std::function<QColor()> color;
        Qt::PenStyle dash;
    };

    void restyle();
    void schedule();
    void redraw();
    void rescale_y();
    void draw_marks();
    void read_out(std::optional<double> x);  // empty: the last values
    void follow(std::optional<double> x);    // read out and draw the pointer's line
    void show_menu(const QPoint& position);

    QString title_, x_label_, y_label_;
    QCustomPlot* plot_;
    ChartLegend* legend_;
    QTimer* timer_;
    std::vector<Curve> curves_;
    std::vector<Marks> marks_;
    QCPItemLine* cursor_;
    std::optional<double> pointer_;  // x under the pointer
    std::function<QString(double)> y_text_, x_text_;
    bool log_ = false, fitted_ = true, from_zero_ = false, dirty_ = false;
    double top_ = INFINITY;
    double smoothing_ = 0.9;
};

}  // namespace qlora::ui
