#include "app/studio/shots.h"

#include <QApplication>
#include <QCursor>
#include <QDir>
#include <QPixmap>
#include <QTimer>
#include <cstdio>

#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/shell/main_window.h"
#include "ui/theme/theme.h"

namespace qlora::studio {

namespace {

constexpr int poll_ms = 100;
constexpr int settle_ms = 1500;  // a page reads its data and draws within it
constexpr int toast_ms = 8000;   // what the end of the run says has gone by then

}  // namespace

Shots::Shots(ui::MainWindow& window, theme::Theme& theme, QString folder, int steps)
    : window_(window), theme_(theme), folder_(std::move(folder)), steps_(steps) {}

void Shots::start() {
    if (!QDir().mkpath(folder_)) {
        std::fprintf(stderr, "%s: cannot create this folder\n", qPrintable(folder_));
        QTimer::singleShot(0, qApp, [] { QApplication::exit(1); });
        return;
    }
    theme_.set_reduced_motion(true);
    window_.setGeometry(0, 0, 1280, 720);
    QCursor::setPos(window_.mapToGlobal(QPoint(1279, 719)));  // where nothing unfolds under it
    wait_for_facts();
}

void Shots::wait_for_facts() {
    const bool ready = window_.draft().missing().isEmpty() && window_.draft().machine().gemm.fp32 > 0;
    if (!ready) {
        QTimer::singleShot(poll_ms, this, &Shots::wait_for_facts);
        return;
    }
    if (steps_ <= 0) {
        draw();
        return;
    }
    window_.draft().set("train.max_steps", steps_);
    window_.draft().set("evaluate.every", std::max(1, steps_ / 4));
    window_.draft().set("evaluate.max_rows", 16);
    connect(
        &window_.live_run(), &ui::LiveRun::ended, this,
        [this] {
            if (const auto& failed = window_.live_run().failed()) {
                std::fprintf(stderr, "%s\n", failed->message.c_str());
                QApplication::exit(1);
                return;
            }
            QTimer::singleShot(toast_ms, this, &Shots::draw);
        },
        Qt::SingleShotConnection);
    window_.start_run();
}

void Shots::draw() {
    if (next_ == 2 * ui::page_count) {
        QApplication::exit(0);
        return;
    }
    const bool dark = next_ >= ui::page_count;
    const auto page = static_cast<ui::Page>(next_ % ui::page_count);
    ++next_;
    theme_.set_scheme(dark ? theme::Scheme::dark : theme::Scheme::light);
    window_.show_page(page);
    QTimer::singleShot(settle_ms, this, [this, page, dark] {
        const QString path = QDir(folder_).filePath(
            QStringLiteral("%1-%2.png").arg(ui::page_name(page), dark ? "dark" : "light"));
        if (!window_.grab().save(path)) {
            std::fprintf(stderr, "%s: cannot write this picture\n", qPrintable(path));
            QApplication::exit(1);
            return;
        }
        draw();
    });
}

}  // namespace qlora::studio
