#pragma once
// Readable ticks: the values of QCustomPlot's ticker, worded by the project's own formats.

#include <qcustomplot.h>

#include <functional>

namespace qlora::ui {

class FormattedTicker : public QCPAxisTicker {
  public:
    explicit FormattedTicker(std::function<QString(double)> text, bool whole = false)
        : text_(std::move(text)), whole_(whole) {}

  protected:
    QString getTickLabel(double tick, const QLocale&, QChar, int) override { return text_(tick); }
    double getTickStep(const QCPRange& range) override {
        const double step = QCPAxisTicker::getTickStep(range);
        return whole_ ? std::max(1.0, std::round(step)) : step;
    }

  private:
    std::function<QString(double)> text_;
    bool whole_;  // steps are counted in whole numbers
};

class FormattedLogTicker : public QCPAxisTickerLog {
  public:
    explicit FormattedLogTicker(std::function<QString(double)> text) : text_(std::move(text)) { setSubTickCount(8); }

  protected:
    QString getTickLabel(double tick, const QLocale&, QChar, int) override { return text_(tick); }

  private:
    std::function<QString(double)> text_;
};

}  // namespace qlora::ui
