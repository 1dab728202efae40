#include "ui/pages/runs_page.h"

#include <QAbstractItemView>
#include <QLineEdit>
#include <QListView>
#include <QPushButton>
#include <QScrollBar>
#include <QSignalSpy>
#include <QTest>

#include "tests/ui/recorded_services.h"
#include "ui/widgets/error_panel.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

class PlayedRuns : public QuietRuns {
  public:
    void rename(qint64 id, const QString& name) override { renamed << QStringLiteral("%1 %2").arg(id).arg(name); }
    void remove(qint64 id) override { removed << id; }
    QStringList renamed;
    QList<qint64> removed;
};

std::vector<RunEntry> some_runs(int count) {
    std::vector<RunEntry> entries;
    for (int i = count; i > 0; --i) {
        RunEntry entry;
        entry.run.id = i;
        entry.run.name = "run " + std::to_string(i);
        entry.run.folder = "/tmp/runs/" + std::to_string(i);
        entry.run.status = "completed";
        entry.has_adapter = true;
        entry.checkpoints = 3;
        entry.run.folder_bytes = 41'200'000;
        entries.push_back(entry);
    }
    return entries;
}

QPushButton* button(const QWidget& page, const QString& text) {
    for (auto* found : page.findChildren<QPushButton*>())
        if (found->text() == text) return found;
    return nullptr;
}

}  // namespace

class RunsPageTest : public QObject {
    Q_OBJECT

    PlayedRuns service_;
    AnsweredDialogs dialogs_;

  private slots:
    void init() {
        service_.entries = some_runs(40);
        service_.renamed.clear();
        service_.removed.clear();
        dialogs_.asked.clear();
        dialogs_.answer = 0;
    }

    void an_empty_list_leads_to_the_train_page() {
        service_.entries.clear();
        RunsPage page(service_, dialogs_);
        page.show();
        QSignalSpy train(&page, &RunsPage::train_requested);
        button(page, "Set up a run")->click();
        QCOMPARE(train.count(), 1);
    }

    void selection_and_scroll_position_outlast_a_refresh() {
        RunsPage page(service_, dialogs_);
        page.resize(1000, 500);
        page.show();
        auto* list = page.findChild<QListView*>();
        list->setCurrentIndex(list->model()->index(30, 0));
        const QString chosen = list->currentIndex().data().toString();
        QCoreApplication::processEvents();
        const int scrolled = list->verticalScrollBar()->value();
        QVERIFY(scrolled > 0);
        for (auto& entry : service_.entries) entry.run.steps_done += 1;
        service_.refresh();
        QCoreApplication::processEvents();
        QCOMPARE(list->currentIndex().data().toString(), chosen);
        QCOMPARE(list->verticalScrollBar()->value(), scrolled);
    }

    void delete_asks_with_what_it_costs_and_does_nothing_on_cancel() {
        RunsPage page(service_, dialogs_);
        page.show();
        auto* list = page.findChild<QListView*>();
        list->setFocus();
        dialogs_.answer = 1;
        button(page, "Delete…")->click();
        QCOMPARE(dialogs_.asked.size(), std::size_t(1));
        QVERIFY(dialogs_.asked[0].text.startsWith("Delete “run 40” and its 3 checkpoints (41.2 MB)?"));
        QCOMPARE(dialogs_.asked[0].dangerous, 0);
        QVERIFY(service_.removed.isEmpty());
        dialogs_.answer = 0;
        button(page, "Delete…")->click();
        QCOMPARE(service_.removed, QList<qint64>{40});
    }

    void disabled_buttons_say_why() {
        service_.entries[0].run.status = "running";
        service_.entries[0].has_adapter = false;
        RunsPage page(service_, dialogs_);
        page.show();
        for (const char* text : {"Resume", "Evaluate", "Delete…"}) {
            QVERIFY(!button(page, text)->isEnabled());
            QVERIFY(!button(page, text)->toolTip().isEmpty());
        }
        QVERIFY(button(page, "Open")->isEnabled());
    }

    void an_interrupted_run_offers_to_resume_unless_another_goes() {
        service_.entries[0].run.status = "interrupted";
        service_.entries[0].run.resumable = true;
        RunsPage page(service_, dialogs_);
        page.show();
        QSignalSpy resumed(&page, &RunsPage::resume_requested);
        button(page, "Resume")->click();
        QCOMPARE(resumed.count(), 1);
        QCOMPARE(resumed[0][0].toString(), "/tmp/runs/40");
        page.set_busy("Another run is going on.");
        QVERIFY(!button(page, "Resume")->isEnabled());
        QCOMPARE(button(page, "Resume")->toolTip(), "Another run is going on.");
    }

    void a_run_is_opened_and_renamed_by_keys() {
        RunsPage page(service_, dialogs_);
        page.show();
        QSignalSpy opened(&page, &RunsPage::open_requested);
        auto* list = page.findChild<QListView*>();
        list->setFocus();
        QTest::keyClick(list, Qt::Key_Down);
        QTest::keyClick(list, Qt::Key_Return);
        QCOMPARE(opened.count(), 1);
        QCOMPARE(opened[0][0].toString(), "/tmp/runs/39");
        QTest::keyClick(list, Qt::Key_F2);
        auto* editor = list->viewport()->findChild<QLineEdit*>();
        QVERIFY(editor);
        editor->setText("better name");
        QTest::keyClick(editor, Qt::Key_Return);
        QTRY_COMPARE(service_.renamed, QStringList{"39 better name"});
    }

    void the_search_takes_words_in_any_order_as_plain_text() {
        service_.entries[3].run.name = "odd (name [*";
        RunsPage page(service_, dialogs_);
        page.show();
        auto* list = page.findChild<QListView*>();
        auto* search = page.findChild<QLineEdit*>();
        search->setText("[* (name");
        QCOMPARE(list->model()->rowCount(), 1);
        search->setText("no such run");
        QCOMPARE(list->model()->rowCount(), 0);
        search->clear();
        QCOMPARE(list->model()->rowCount(), 40);
    }

    void what_went_wrong_stays_on_the_page() {
        RunsPage page(service_, dialogs_);
        page.show();
        emit service_.failed(failure("runs.index", "runs.sqlite", "the disk is full", "Make room."));
        QVERIFY(page.findChild<ErrorPanel*>()->isVisible());
        QVERIFY(page.findChild<ErrorPanel*>()->details().contains("the disk is full"));
    }
};

QTEST_MAIN(RunsPageTest)
#include "runs_page_test.moc"
