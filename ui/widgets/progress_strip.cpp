#include "ui/widgets/progress_strip.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QTimer>

#include "ui/format/format.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/figure_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {
constexpr int appears_after_ms = 300;
}

ProgressStrip::ProgressStrip(QWidget* parent) : QWidget(parent) {
    setAccessibleName(tr("Progress"));
    what_ = plain_label({}, nullptr, this);
    what_->setMinimumWidth(180);
    share_ = make<FigureLabel>(QStringLiteral("888 %"), 12, this);
    bar_ = make<QProgressBar>(this);
    bar_->setTextVisible(false);
    cancel_ = make<QPushButton>(tr("Cancel"), this);
    connect(cancel_, &QPushButton::clicked, this, [this] {
        cancel_->setEnabled(false);
        what_->setText(tr("Stopping…"));
        emit cancelled();
    });
    delay_ = make<QTimer>(this);
    delay_->setSingleShot(true);
    delay_->setInterval(appears_after_ms);
    connect(delay_, &QTimer::timeout, this, [this] { reveal(true); });
    auto* row = make<QHBoxLayout>(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->addWidget(what_);
    row->addWidget(bar_, 1);
    row->addWidget(share_);
    row->addWidget(cancel_);
    for (QWidget* part : std::initializer_list<QWidget*>{what_, share_, bar_, cancel_}) {
        QSizePolicy policy = part->sizePolicy();
        policy.setRetainSizeWhenHidden(true);
        part->setSizePolicy(policy);
    }
    reveal(false);
}

void ProgressStrip::begin(const QString& what, bool cancellable) {
    active_ = true;
    cancellable_ = cancellable;
    cancel_->setEnabled(true);
    set_progress(what, 0, 0);
    if (bar_->isHidden()) delay_->start();
}

void ProgressStrip::set_progress(const QString& what, double done, double total) {
    if (!active_) return;
    if (cancel_->isEnabled()) what_->setText(what);
    if (total > 0) {
        bar_->setRange(0, 1000);
        bar_->setValue(int(1000 * done / total));
        share_->setText(QStringLiteral("%1 %").arg(int(100 * done / total)));
    } else {
        bar_->setRange(0, 0);
        share_->clear();
    }
    bar_->setAccessibleName(what);
}

void ProgressStrip::end() {
    active_ = false;
    delay_->stop();
    reveal(false);
}

void ProgressStrip::reveal(bool visible) {
    for (QWidget* part : std::initializer_list<QWidget*>{what_, share_, bar_}) part->setVisible(visible);
    cancel_->setVisible(visible && cancellable_);
}

}  // namespace qlora::ui
