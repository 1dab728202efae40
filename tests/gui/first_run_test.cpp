// A newcomer's first run with real mouse and key events of an X server: open, change what makes the run short, Start,
// pause, watch it learn, talk to the tuned model, find the adapter on disk.
#include <QApplication>
#include <QElapsedTimer>
#include <QLineEdit>
#include <QListView>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QTemporaryDir>
#include <QTest>
#include <filesystem>

#include "core/hub/catalogue.h"
#include "tests/gui/hand.h"
#include "ui/models/chat_model.h"
#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/live_page.h"
#include "ui/pages/train_page.h"
#include "ui/pages/train_preview.h"
#include "ui/shell/latency_probe.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

const char* const question = "The ATM swallowed my card. What now?";

std::vector<const ChatModel*> chats(const QWidget& in) {
    std::vector<const ChatModel*> models;
    for (const auto* list : in.findChildren<QListView*>())
        if (const auto* model = qobject_cast<const ChatModel*>(list->model()); model && list->isVisible()) models.push_back(model);
    return models;
}

}  // namespace

class FirstRunTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        if (QGuiApplication::platformName() != "xcb") QSKIP("needs an X server: tests/gui/under_xvfb.sh starts one");
        const auto models = hub::models();
        if (models.empty() || !models.front().available) QSKIP("no prepared model: ./dev setup makes it");
        theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light);
    }

    void from_the_start_button_to_an_adapter_on_disk() {
        QTemporaryDir home;
        QElapsedTimer clock;
        clock.start();
        Studio studio(home, *theme_);
        MainWindow& window = studio.window;
        QVERIFY(QTest::qWaitForWindowExposed(&window));
        qInfo("window after %lld ms", static_cast<long long>(clock.elapsed()));
        QVERIFY(clock.elapsed() < 1500);
        QVERIFY(QTest::qWaitForWindowActive(&window));

        // A short run: what a person would type into the Train page.
        QPushButton* start = window.train_page()->preview()->start_button();
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 20000);
        QVERIFY(find(window, "Advanced") && click(*find(window, "Advanced")));
        const std::pair<const char*, const char*> short_run[] = {
            {"Longest row", "64"}, {"Steps", "8"}, {"Batch size", "2"}, {"Evaluate every", "4"}, {"Rows evaluated", "4"}};
        for (const auto& [name, text] : short_run) {
            QWidget* input = find(window, name);
            QVERIFY2(input, name);
            QVERIFY(point_at(*window.train_page()->findChild<QScrollArea*>()));
            for (int turns = 0; !drawn(*input) && turns < 60; ++turns) QVERIFY(hand({"click", QString::number(wheel_down)}));
            QVERIFY2(drawn(*input), name);
            auto* line = input->findChild<QLineEdit*>();
            QVERIFY2(line && click(*line, 3) && type(text) && press("Tab"), name);
            QCOMPARE(line->text(), text);
        }
        QCOMPARE(window.draft().recipe().train.max_steps, 8);
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 20000);

        window.latency().start();
        clock.restart();
        QVERIFY(click(*start));
        QTRY_VERIFY_WITH_TIMEOUT(!window.live_run().steps().empty() || window.live_run().failed(), 120000);
        qInfo("first loss after %lld ms", static_cast<long long>(clock.elapsed()));
        QCOMPARE(window.page(), Page::live);

        QVERIFY(press("space"));
        QTRY_COMPARE_WITH_TIMEOUT(window.live_run().state(), RunState::paused, 20000);
        QVERIFY(press("space"));
        QTRY_VERIFY_WITH_TIMEOUT(!window.live_run().active(), 240000);
        QVERIFY2(!window.live_run().failed(), window.live_run().failed() ? window.live_run().failed()->message.c_str() : "");
        QVERIFY(window.live_run().finished().has_value());
        QCOMPARE(window.live_run().steps().size(), std::size_t(8));
        qInfo("the longest block of the UI thread: %.1f ms", window.latency().worst_ms());
        QVERIFY(window.latency().worst_ms() < 100);

        const std::filesystem::path run = window.live_run().finished()->run;
        QVERIFY(std::filesystem::exists(run / "adapter" / "adapter_model.safetensors"));
        QVERIFY(std::filesystem::exists(run / "adapter" / "adapter_config.json"));

        // Both models answer a question.
        QVERIFY(find(window, "Evaluate it") && click(*find(window, "Evaluate it")));
        QCOMPARE(window.page(), Page::evaluate);
        QTRY_VERIFY_WITH_TIMEOUT(find(window, "Chat"), 10000);
        QVERIFY(click(*find(window, "Chat")));
        QPlainTextEdit* prompt = nullptr;
        for (auto* edit : window.findChildren<QPlainTextEdit*>())
            if (edit->isVisible()) prompt = edit;
        QVERIFY(prompt && click(*prompt) && type(question) && press("Return"));
        QTRY_COMPARE(chats(window).size(), std::size_t(2));
        for (const auto* side : chats(window)) {
            QTRY_VERIFY_WITH_TIMEOUT(side->rowCount() == 2 && !side->streaming(), 120000);
            QCOMPARE(side->index(0).data().toString(), QString(question));
            QVERIFY(!side->index(1).data(ChatModel::FailedRole).toBool());
            QVERIFY(!side->index(1).data(ChatModel::FigureRole).toString().isEmpty());
        }

        QVERIFY(press("ctrl+5"));
        QTRY_COMPARE(window.page(), Page::runs);
        window.close();
        QVERIFY(!window.isVisible());
    }

  private:
    std::unique_ptr<theme::Theme> theme_;
};

QTEST_MAIN(FirstRunTest)
#include "first_run_test.moc"
