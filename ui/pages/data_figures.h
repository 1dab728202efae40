#pragma once
// What there is to know about the data set before training: figures, what is odd, and the lengths against the limit.

#include <QWidget>
#include <array>

#include "core/data/report.h"

class QLabel;
class QVBoxLayout;

namespace qlora::ui {

class LengthChart;

class DataFigures : public QWidget {
    Q_OBJECT

  public:
    explicit DataFigures(QWidget* parent = nullptr);

    void set_rows(std::size_t rows, const std::vector<std::string>& notices);  // before there is a report
    void set_report(const data::DatasetReport& report, bool has_held_out);
    void clear();
    LengthChart* chart() const { return chart_; }

  protected:
    void changeEvent(QEvent* event) override;

  private:
    enum Figure { rows, kept, duplicates, empty, dropped, truncated, leaks, mean_tokens, longest, trained, figure_count };
    // An amount that is not good to have is marked with a sign and a colour.
    void set_figure(Figure figure, const QString& text, bool warn = false);
    void set_classes(const std::vector<std::pair<std::string, std::size_t>>& classes);
    void set_sentences(const std::vector<std::string>& sentences);

    void draw_mark(int figure);

    std::array<QLabel*, figure_count> values_, marks_;
    std::array<bool, figure_count> warned_{};
    QLabel* classes_;
    QVBoxLayout* sentences_;
    LengthChart* chart_;
};

}  // namespace qlora::ui
