#include "ui/shell/status_foot.h"

#include <QMouseEvent>
#include <QVBoxLayout>

#include "ui/format/format.h"
#include "ui/models/live_run.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/figure_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/memory_bar.h"
#include "ui/widgets/sparkline.h"

namespace qlora::ui {

namespace {

QString short_state(const LiveRun& run) {
    if (run.failed()) return StatusFoot::tr("Failed");
    switch (run.state()) {
        case RunState::preparing:
            return StatusFoot::tr("Getting ready");
        case RunState::running:
            return StatusFoot::tr("Training");
        case RunState::paused:
            return StatusFoot::tr("Paused");
        case RunState::stopping:
            return StatusFoot::tr("Stopping");
        case RunState::idle:
            break;
    }
    return run.finished() ? StatusFoot::tr("Finished") : StatusFoot::tr("No run");
}

}  // namespace

StatusFoot::StatusFoot(LiveRun& run, QWidget* parent) : QWidget(parent), run_(run) {
    setAccessibleName(tr("State of the run"));
    setCursor(Qt::PointingHandCursor);
    state_ = plain_label({}, nullptr, this);
    QFont bold = theme::dim_font();
    bold.setWeight(QFont::DemiBold);
    state_->setFont(bold);
    steps_ = make<FigureLabel>(QStringLiteral("888 / 888"), 11, this);
    steps_->setAlignment(Qt::AlignLeft);
    loss_ = make<FigureLabel>(QStringLiteral("loss 8.88"), 11, this);
    loss_->setAlignment(Qt::AlignLeft);
    sparkline_ = make<Sparkline>(this);
    sparkline_->setFixedHeight(26);
    bar_ = make<MemoryBar>(this);
    bar_->set_thickness(12);
    memory_ = make<FigureLabel>(QStringLiteral("888 MB"), 11, this);
    memory_->setAlignment(Qt::AlignLeft);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(12, 8, 12, 12);
    column->setSpacing(3);
    for (QWidget* part : std::initializer_list<QWidget*>{state_, steps_, loss_, sparkline_})
        column->addWidget(part);
    column->addSpacing(4);
    column->addWidget(bar_);
    column->addWidget(memory_);
    connect(&run, &LiveRun::advanced, this, &StatusFoot::refresh);
    connect(&run, &LiveRun::state_changed, this, &StatusFoot::refresh);
    refresh();
}

void StatusFoot::refresh() {
    state_->setText(short_state(run_));
    setToolTip(QStringLiteral("<p>%1</p>").arg(run_.state_text().toHtmlEscaped()));
    const auto& steps = run_.steps();
    if (steps.empty()) {
        steps_->setText(QStringLiteral(" "));
        loss_->setText(QStringLiteral(" "));
    } else {
        steps_->setText(run_.total_steps() > 0
                            ? QStringLiteral("%1 / %2").arg(steps.back().step).arg(run_.total_steps())
                            : QString::number(steps.back().step));
        loss_->setText(tr("loss %1").arg(format::figure(steps.back().loss)));
    }
    sparkline_->set_values(run_.sparkline());
}

void StatusFoot::set_reading(const memory::Reading& reading) {
    const bool on_device = reading.device.has_value();
    const std::int64_t total = on_device ? reading.device->total : reading.machine_bytes;
    const std::int64_t used =
        on_device ? reading.device->used : reading.machine_bytes - reading.machine_available_bytes;
    bar_->set_memory(reading.live, total, std::max<std::int64_t>(0, used - reading.live.total()));
    memory_->setText(format::bytes(used));
    memory_->setToolTip(
        tr("%1 of %2 in use, %3 of it by tensors here")
            .arg(format::bytes(used), format::bytes(total), format::bytes(reading.live.total())));
}

void StatusFoot::mouseReleaseEvent(QMouseEvent* event) {
    if (event->button() == Qt::LeftButton && rect().contains(event->pos())) emit activated();
}

}  // namespace qlora::ui
