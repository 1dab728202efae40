#pragma once
// The run as it goes: progress, losses, learning rate, gradient norm, speed, memory by use, what the run
// doctor says and the answers at each evaluation; pause, resume, stop.

#include <QWidget>

class QGridLayout;
class QLabel;
class QProgressBar;
class QPushButton;
class QStackedWidget;

namespace qlora::ui {

class Chart;
class Dialogs;
class ElidedLabel;
class ErrorPanel;
class LiveAnswers;
class LiveHealth;
class LiveRun;
class LossChart;
class MemoryChart;
class QualityChart;
class SegmentedControl;
class SeriesChart;

class LivePage : public QWidget {
    Q_OBJECT

  public:
    // Both outlive the page.
    LivePage(LiveRun& run, Dialogs& dialogs, QWidget* parent = nullptr);
    void set_predicted_peak(std::int64_t bytes);
    // What cannot be shown of a stored run.
    ErrorPanel* error() const { return error_; }

    LossChart* loss() const { return loss_; }
    QPushButton* pause_button() const { return pause_; }
    QPushButton* stop_button() const { return stop_; }

  signals:
    void pause_requested();
    void unpause_requested();
    void stop_and_save_requested();
    void stop_requested();
    void evaluate_requested(const QString& run_folder);
    void train_requested();

  private:
    QWidget* make_heading();
    QWidget* make_charts();
    QWidget* make_side();
    void show_quality(bool shown);
    void restart();
    void advance();
    void refresh_controls();
    void save_chart(Chart* chart, const QString& suffix);

    LiveRun& run_;
    Dialogs& dialogs_;
    QStackedWidget* stack_;
    ElidedLabel* sentence_;
    QLabel *state_, *figures_;
    QProgressBar* progress_;
    QPushButton *pause_, *stop_, *evaluate_;
    ErrorPanel* error_;
    QGridLayout* charts_;
    QWidget *loss_frame_, *quality_frame_;
    LossChart* loss_;
    QualityChart* quality_;
    SeriesChart *rate_, *norm_, *speed_;
    MemoryChart* memory_;
    SegmentedControl* side_choice_;
    LiveAnswers* answers_;
    LiveHealth* health_;
    std::size_t steps_shown_ = 0, evaluations_shown_ = 0, memory_shown_ = 0, checkpoints_shown_ = 0;
};

}  // namespace qlora::ui
