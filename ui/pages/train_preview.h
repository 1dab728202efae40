#pragma once
// What the run will do and cost, beside the form: a sentence, the memory bar, the verdict, the time, notices,
// and the one button whose label says what is missing, or "Start".

#include <QFrame>

class QLabel;
class QPushButton;
class QVBoxLayout;

namespace qlora::ui {

class FigureLabel;
class MemoryBar;
class MemoryLegend;
class NoticeRow;
class RecipeDraft;

class TrainPreview : public QFrame {
    Q_OBJECT

  public:
    explicit TrainPreview(RecipeDraft& draft, QWidget* parent = nullptr);
    // While a run goes no other may start; empty: it may.
    void set_busy(const QString& why_not);
    QPushButton* start_button() const { return start_; }

  signals:
    void start_requested();

  private:
    void refresh();
    void refresh_notices();

    RecipeDraft& draft_;
    QString busy_;
    QLabel *sentence_, *amount_, *budget_, *time_, *steps_, *trained_;
    MemoryBar* bar_;
    MemoryLegend* legend_;
    NoticeRow* verdict_;
    QVBoxLayout* notices_;
    QStringList shown_notices_;
    QPushButton* start_;
};

}  // namespace qlora::ui
