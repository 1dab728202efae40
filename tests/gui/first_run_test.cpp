// A newcomer's first run with mouse and keys: open, Start, watch it learn, talk to it, find the adapter on
// disk.
#include <QApplication>
#include <QElapsedTimer>
#include <QListView>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSettings>
#include <QTemporaryDir>
#include <QTest>
#include <filesystem>

#include "core/hub/catalogue.h"
#include "ui/dialogs/dialogs.h"
#include "ui/engine/core_chat_service.h"
#include "ui/engine/core_dataset_service.h"
#include "ui/engine/core_engine.h"
#include "ui/engine/core_runs_service.h"
#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/live_page.h"
#include "ui/pages/train_page.h"
#include "ui/pages/train_preview.h"
#include "ui/shell/latency_probe.h"
#include "ui/shell/main_window.h"
#include "ui/theme/theme.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

class NoDialogs : public Dialogs {
  public:
    QString open_file(QWidget*, const QString&, const QString&, const QString&) override { return {}; }
    QString open_folder(QWidget*, const QString&, const QString&) override { return {}; }
    QString save_file(QWidget*, const QString&, const QString&, const QString&) override { return {}; }
    int ask(QWidget*, const Question&) override { return 0; }
};

}  // namespace

class FirstRunTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        const auto models = hub::models();
        if (models.empty() || !models.front().available) QSKIP("no prepared model: ./dev setup makes it");
        theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light);
    }

    void from_the_start_button_to_an_adapter_on_disk() {
        QTemporaryDir home;
        QSettings settings(home.filePath("studio.ini"), QSettings::IniFormat);
        QElapsedTimer clock;
        clock.start();
        CoreEngine engine({home.path().toStdString()});
        CoreDatasetService datasets;
        CoreRunsService runs(home.path().toStdString());
        CoreChatService chat;
        NoDialogs dialogs;
        MainWindow window({engine, datasets, runs, chat, dialogs, *theme_, settings});
        window.show();
        QVERIFY(QTest::qWaitForWindowExposed(&window));
        qInfo("window after %lld ms", static_cast<long long>(clock.elapsed()));
        QVERIFY(clock.elapsed() < 1500);

        QPushButton* start = window.train_page()->preview()->start_button();
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 20000);
        for (const auto& [key, value] : {std::pair{"train.max_steps", 8},
                                         {"evaluate.every", 4},
                                         {"evaluate.max_rows", 4},
                                         {"train.batch_size", 2}})
            QVERIFY(window.draft().set(key, value));
        QVERIFY(window.draft().set("data.max_length", 64));
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 20000);
        window.latency().start();
        clock.restart();
        QTest::mouseClick(start, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!window.live_run().steps().empty() || window.live_run().failed(), 120000);
        qInfo("first loss after %lld ms", static_cast<long long>(clock.elapsed()));
        QCOMPARE(window.page(), Page::live);

        QTest::keyClick(&window, Qt::Key_Space);
        QTRY_COMPARE(window.live_run().state(), RunState::paused);
        QTest::keyClick(&window, Qt::Key_Space);
        QTRY_VERIFY_WITH_TIMEOUT(!window.live_run().active(), 240000);
        QVERIFY2(!window.live_run().failed(),
                 window.live_run().failed() ? window.live_run().failed()->message.c_str() : "");
        QVERIFY(window.live_run().finished().has_value());
        QCOMPARE(window.live_run().steps().size(), std::size_t(8));
        qInfo("the longest block of the UI thread: %.1f ms", window.latency().worst_ms());
        QVERIFY(window.latency().worst_ms() < 100);

        const std::filesystem::path run = window.live_run().finished()->run;
        QVERIFY(std::filesystem::exists(run / "adapter" / "adapter_model.safetensors"));
        QVERIFY(std::filesystem::exists(run / "adapter" / "adapter_config.json"));
        QTest::keyClick(&window, Qt::Key_5, Qt::ControlModifier);
        QCOMPARE(window.page(), Page::runs);
        QTRY_VERIFY(window.findChild<QListView*>()->model()->rowCount() >= 0);
        window.close();
        QVERIFY(!window.isVisible());
    }

  private:
    std::unique_ptr<theme::Theme> theme_;
};

QTEST_MAIN(FirstRunTest)
#include "first_run_test.moc"
