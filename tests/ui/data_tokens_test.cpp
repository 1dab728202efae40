#include "ui/pages/data_tokens.h"

#include <QSignalSpy>
#include <QTest>

using namespace qlora;
using namespace qlora::ui;

namespace {

std::vector<data::TokenView> row() {
    return {{"<|user|>", 1, false, false}, {"\n", 2, false, false}, {" the", 339, false, false},
            {" answer", 40, true, false},  {"\xE2\x82", 41, true, false}, {" lost", 42, true, true}};
}

}  // namespace

class DataTokensTest : public QObject {
    Q_OBJECT

  private slots:
    void blanks_breaks_and_parts_of_characters_are_made_visible() {
        QCOMPARE(TokenStrip::visible_text(" the"), QString("·the"));
        QCOMPARE(TokenStrip::visible_text("\n"), QString("⏎"));
        QCOMPARE(TokenStrip::visible_text("\xE2\x82"), QString("⟨E2 82⟩"));
        QCOMPARE(TokenStrip::visible_text("\xEF\xBF\xBD"), QString(QChar(QChar::ReplacementCharacter)));
        QCOMPARE(TokenStrip::visible_text(""), QString("∅"));
        QCOMPARE(TokenStrip::visible_text("<b>é</b>"), QString("<b>é</b>"));
    }

    void tells_text_id_and_part_of_every_token() {
        TokenStrip strip;
        strip.set_tokens(row());
        QCOMPARE(strip.description(2), QString("Token 3 of 6 · id 339 · “·the” · context only"));
        QVERIFY(strip.description(3).endsWith("trained on"));
        QVERIFY(strip.description(5).endsWith("cut at the limit"));
        QVERIFY(strip.description(6).isEmpty());
    }

    void is_walked_through_by_keys_alone() {
        TokenStrip strip;
        strip.resize(400, 200);
        strip.show();
        strip.set_tokens(row());
        QSignalSpy current(&strip, &TokenStrip::current_changed);
        QTest::keyClick(&strip, Qt::Key_Right);
        QCOMPARE(strip.current(), 0);
        QTest::keyClick(&strip, Qt::Key_Down);
        QCOMPARE(strip.current(), 2);
        QTest::keyClick(&strip, Qt::Key_End);
        QCOMPARE(strip.current(), 5);
        QTest::keyClick(&strip, Qt::Key_Right);
        QCOMPARE(strip.current(), 5);
        QTest::keyClick(&strip, Qt::Key_Home);
        QTest::keyClick(&strip, Qt::Key_Left);
        QCOMPARE(strip.current(), 0);
        QCOMPARE(strip.accessibleDescription(), strip.description(0));
        QVERIFY(current.count() >= 4);
    }

    void finds_the_token_under_the_pointer_in_a_long_row() {
        TokenStrip strip;
        strip.resize(300, 120);
        strip.show();
        std::vector<data::TokenView> tokens;
        for (int i = 0; i < 5000; ++i) tokens.push_back({" word", i, i % 2 == 1, false});
        strip.set_tokens(tokens);
        for (int token : {0, 17, 2500, 4999}) {
            strip.set_current(token);
            const QRect rect = strip.chip_rect(token);
            QVERIFY(strip.viewport()->rect().contains(rect.center()));
            QCOMPARE(strip.token_at(rect.center()), token);
        }
        QCOMPARE(strip.token_at({-5, -5}), -1);
    }

    void keys_do_nothing_on_an_empty_row() {
        TokenStrip strip;
        strip.show();
        strip.set_tokens({});
        QTest::keyClick(&strip, Qt::Key_Right);
        QCOMPARE(strip.current(), -1);
    }
};

QTEST_MAIN(DataTokensTest)
#include "data_tokens_test.moc"
