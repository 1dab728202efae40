#pragma once
// The rail's foot, on every page: the run's state, its loss as a sparkline, and where the memory goes.

#include <QWidget>

#include "core/memory/meters.h"

class QLabel;

namespace qlora::ui {

class LiveRun;
class MemoryBar;
class Sparkline;

class StatusFoot : public QWidget {
    Q_OBJECT

  public:
    explicit StatusFoot(LiveRun& run, QWidget* parent = nullptr);
    void set_reading(const memory::Reading& reading);
    MemoryBar* memory_bar() const { return bar_; }

  signals:
    void activated();  // clicked: show the Live page

  protected:
    void mouseReleaseEvent(QMouseEvent* event) override;

  private:
    void refresh();

    LiveRun& run_;
    QLabel *state_, *steps_, *loss_, *memory_;
    Sparkline* sparkline_;
    MemoryBar* bar_;
};

}  // namespace qlora::ui
