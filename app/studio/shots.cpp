#include "app/studio/shots.h"

#include <QApplication>
#include <QCursor>
#include <QDir>
#include <QPixmap>
#include <QTimer>
#include <cstdio>
#include <utility>

#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/rate_dialog.h"
#include "ui/shell/main_window.h"
#include "ui/theme/theme.h"

namespace qlora::studio {

namespace {

// The pages by their names, and what opens from them.
constexpr const char* scenes[] = {"train", "data", "live", "evaluate", "runs", "searches", "search", "rates"};
constexpr std::size_t in_a_theme = std::size(scenes);
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
    if (next_ == 2 * in_a_theme) {
        QApplication::exit(0);
        return;
    }
    theme_.set_scheme(next_ >= in_a_theme ? theme::Scheme::dark : theme::Scheme::light);
    const QString scene = QString::fromLatin1(scenes[next_ % in_a_theme]);
    if (const auto page = ui::page_from_name(scene)) window_.show_page(*page);
    else if (scene == "searches") window_.show_searches();
    else if (scene == "search") window_.set_up_search();
    else if (scene == "rates") window_.find_rate();
    if (auto* dialog = window_.findChild<ui::RateDialog*>()) {
        if (steps_ > 0) dialog->set_steps(std::max(10, steps_));
        dialog->start();
    }
    QTimer::singleShot(settle_ms, this, &Shots::finish_scene);
}

void Shots::finish_scene() {
    const auto* rates = window_.findChild<ui::RateDialog*>();
    if (rates && rates->testing()) {
        waits_ = true;
        QTimer::singleShot(poll_ms, this, &Shots::finish_scene);
        return;
    }
    if (std::exchange(waits_, false)) {  // the last points are not drawn yet
        QTimer::singleShot(settle_ms, this, &Shots::finish_scene);
        return;
    }
    const QString path = QDir(folder_).filePath(QStringLiteral("%1-%2.png").arg(
        QLatin1String(scenes[next_ % in_a_theme]), QLatin1String(next_ >= in_a_theme ? "dark" : "light")));
    ++next_;
    QWidget* dialog = QApplication::activeModalWidget();
    if (!(dialog ? dialog : &window_)->grab().save(path)) {
        std::fprintf(stderr, "%s: cannot write this picture\n", qPrintable(path));
        QApplication::exit(1);
        return;
    }
    if (dialog) dialog->close();
    QTimer::singleShot(0, this, &Shots::draw);
}

}  // namespace qlora::studio
