#pragma once
// The heading of a chart: its title, and for every curve a sample of its line, its name and its value at the step
// that is read out (the last one when the pointer is elsewhere). Widths are reserved; nothing moves while it runs.

#include <QPen>
#include <QWidget>
#include <optional>
#include <vector>

namespace qlora::ui {

class ChartLegend : public QWidget {
    Q_OBJECT
  public:
    struct Entry {
        QString name, value;
        QPen pen;
        std::optional<QBrush> fill;
        bool markers = false;
    };
    ChartLegend(const QString& title, QWidget* parent);
    void set_entries(std::vector<Entry> entries);
    void set_position(const QString& position);  // "step 120"; empty: the last values
    QSize sizeHint() const override { return {200, height()}; }

  protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

  private:
    int room_of(const Entry& entry) const;
    void arrange();
    void draw(QPainter& painter, const Entry& entry, const QRect& area) const;

    QString title_, position_;
    int columns_ = 0;       // 0: one line, beside the title
    int widest_value_ = 0;  // so far: it only grows, so that figures keep their place
    std::vector<Entry> entries_;
};

}  // namespace qlora::ui
