#include "ui/models/target_tree.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QTest>

#include "core/adapters/targets.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

using Names = std::vector<std::string>;

std::vector<nn::LinearInfo> blocks(const std::string& stack, int count, const Names& kinds, std::int64_t in = 8,
                                   std::int64_t out = 8) {
    std::vector<nn::LinearInfo> linears;
    for (int i = 0; i < count; ++i)
        for (const auto& kind : kinds) linears.push_back({stack + "." + std::to_string(i) + "." + kind, in, out});
    return linears;
}

std::vector<nn::LinearInfo> operator+(std::vector<nn::LinearInfo> a, const std::vector<nn::LinearInfo>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

const Names llama_kinds{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                        "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
const Names bert_kinds{"attention.self.query",   "attention.self.key", "attention.self.value", "attention.output.dense",
                       "intermediate.dense", "output.dense"};

std::map<QString, std::vector<nn::LinearInfo>> families() {
    return {
        {"llama", blocks("model.layers", 12, llama_kinds)},
        {"gpt2", blocks("transformer.h", 12, {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"})},
        {"phi3", blocks("model.layers", 3, {"self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"})},
        {"bert", blocks("bert.encoder.layer", 12, bert_kinds)},
        {"bare bert", blocks("encoder.layer", 12, bert_kinds)},
        {"roberta", blocks("roberta.encoder.layer", 2, bert_kinds) + std::vector<nn::LinearInfo>{{"classifier.dense", 8, 8}}},
        {"distilbert", blocks("distilbert.transformer.layer", 6,
                              {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "ffn.lin1",
                               "ffn.lin2"})},
        {"t5", blocks("encoder.block", 3,
                      {"layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v",
                       "layer.0.SelfAttention.o", "layer.1.DenseReluDense.wi", "layer.1.DenseReluDense.wo"}) +
                   blocks("decoder.block", 3,
                          {"layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v",
                           "layer.0.SelfAttention.o", "layer.1.EncDecAttention.q", "layer.1.EncDecAttention.k",
                           "layer.1.EncDecAttention.v", "layer.1.EncDecAttention.o", "layer.2.DenseReluDense.wi",
                           "layer.2.DenseReluDense.wo"})},
    };
}

QModelIndex find(const TargetTree& tree, const QString& name, const QModelIndex& parent = {}) {
    for (int row = 0; row < tree.rowCount(parent); ++row) {
        const QModelIndex at = tree.index(row, 0, parent);
        if (at.data().toString() == name) return at;
        if (const QModelIndex below = find(tree, name, at); below.isValid()) return below;
    }
    return {};
}

void check(TargetTree& tree, const QModelIndex& index, bool checked = true) {
    QVERIFY(tree.setData(index, checked ? Qt::Checked : Qt::Unchecked, Qt::CheckStateRole));
}

Names checked_names(const TargetTree& tree, const QModelIndex& parent = {}) {
    Names names;
    for (int row = 0; row < tree.rowCount(parent); ++row) {
        const QModelIndex at = tree.index(row, 0, parent);
        const QString name = at.data(TargetTree::NameRole).toString();
        if (!name.isEmpty() && at.data(Qt::CheckStateRole) == Qt::Checked) names.push_back(name.toStdString());
        const Names below = checked_names(tree, at);
        names.insert(names.end(), below.begin(), below.end());
    }
    return names;
}

Names names_of(const std::vector<nn::LinearInfo>& linears) {
    Names names;
    for (const auto& linear : linears) names.push_back(linear.name);
    return names;
}

// What PEFT's rules make of the list is what is checked.
bool selects_the_checked(const TargetTree& tree, const std::vector<nn::LinearInfo>& linears) {
    Names checked = checked_names(tree), selected;
    if (!tree.entries().empty()) selected = adapters::select_targets(names_of(linears), tree.entries());
    std::ranges::sort(checked);
    std::ranges::sort(selected);
    return checked == selected && tree.chosen() == checked.size();
}

}  // namespace

class TargetTreeTest : public QObject {
    Q_OBJECT

  private slots:
    void a_kind_is_one_line_with_its_cost() {
        TargetTree tree(blocks("model.layers", 30, {"self_attn.q_proj", "mlp.up_proj"}, 576, 192), 16);
        QCOMPARE(tree.rowCount(), 1);
        QCOMPARE(tree.index(0, 0).data().toString(), "model.layers: 60 layers");
        const QModelIndex kind = find(tree, "self_attn.q_proj ×30");
        QVERIFY(kind.isValid());
        QCOMPARE(tree.rowCount(kind), 30);
        QCOMPARE(kind.siblingAtColumn(TargetTree::shape_column).data().toString(), "576 → 192");
        QCOMPARE(kind.siblingAtColumn(TargetTree::parameters_column).data().toString(), "");
        check(tree, kind);
        QCOMPARE(kind.siblingAtColumn(TargetTree::parameters_column).data().toString(), "+368,640");  // 30 * 16 * (576 + 192)
        QCOMPARE(tree.added_parameters(), std::int64_t(368'640));
        QCOMPARE(tree.index(5, 0, kind).data().toString(), "model.layers.5.self_attn.q_proj");
    }

    void checks_go_down_and_show_upwards() {
        TargetTree tree(families()["llama"], 8);
        QSignalSpy changed(&tree, &TargetTree::choice_changed);
        const QModelIndex stack = tree.index(0, 0), kind = find(tree, "mlp.up_proj ×12");
        check(tree, tree.index(3, 0, kind));
        QCOMPARE(changed.count(), 1);
        QCOMPARE(kind.data(Qt::CheckStateRole).toInt(), int(Qt::PartiallyChecked));
        QCOMPARE(stack.data(Qt::CheckStateRole).toInt(), int(Qt::PartiallyChecked));
        check(tree, kind);
        QCOMPARE(kind.data(Qt::CheckStateRole).toInt(), int(Qt::Checked));
        QCOMPARE(tree.index(11, 0, kind).data(Qt::CheckStateRole).toInt(), int(Qt::Checked));
        check(tree, stack, false);
        QCOMPARE(tree.chosen(), std::size_t(0));
        QCOMPARE(stack.data(Qt::CheckStateRole).toInt(), int(Qt::Unchecked));
    }

    void views_hear_of_every_change() {
        TargetTree tree(families()["t5"], 8);
        QAbstractItemModelTester tester(&tree, QAbstractItemModelTester::FailureReportingMode::QtTest);
        QSignalSpy told(&tree, &QAbstractItemModel::dataChanged);
        tree.choose_attention();
        QVERIFY(told.count() > 0);
        check(tree, tree.index(1, 0), false);
        tree.choose_none();
        tree.choose({"all-linear"});
        told.clear();
        tree.choose({"all-linear"});
        QCOMPARE(told.count(), 0);
    }

    void the_list_is_the_shortest() {
        TargetTree llama(families()["llama"], 8);
        QVERIFY(llama.choose({"all-linear"}));
        QCOMPARE(llama.entries(), Names{"all-linear"});
        llama.choose_attention();
        QCOMPARE(llama.entries(), (Names{"q_proj", "k_proj", "v_proj", "o_proj"}));
        check(llama, find(llama, "model.layers.4.mlp.up_proj"));
        QCOMPARE(llama.entries(), (Names{"q_proj", "k_proj", "v_proj", "o_proj", "model.layers.4.mlp.up_proj"}));
        llama.choose_none();
        QCOMPARE(llama.entries(), Names{});

        // c_proj alone would take the attention's and the MLP's.
        TargetTree gpt2(families()["gpt2"], 8);
        check(gpt2, find(gpt2, "mlp.c_proj ×12"));
        QCOMPARE(gpt2.entries(), Names{"mlp.c_proj"});
        check(gpt2, find(gpt2, "attn.c_proj ×12"));
        QCOMPARE(gpt2.entries(), Names{"c_proj"});

        // Nothing but whole names tells the MLP's output.dense from the attention's.
        TargetTree bert(families()["bert"], 8);
        check(bert, find(bert, "output.dense ×12"));
        QCOMPARE(bert.entries().size(), std::size_t(12));
        QCOMPARE(bert.entries()[0], std::string("bert.encoder.layer.0.output.dense"));
        check(bert, find(bert, "attention.output.dense ×12"));
        QCOMPARE(bert.entries(), Names{"output.dense"});
        check(bert, find(bert, "intermediate.dense ×12"));
        QCOMPARE(bert.entries(), Names{"dense"});

        TargetTree t5(families()["t5"], 8);
        check(t5, find(t5, "layer.1.EncDecAttention.q ×3"));
        QCOMPARE(t5.entries(), Names{"EncDecAttention.q"});
        t5.choose_attention();
        QCOMPARE(t5.entries(), (Names{"q", "k", "v", "o"}));
    }

    void any_choice_in_any_family_is_selected_exactly_data() {
        QTest::addColumn<QString>("family");
        for (const auto& [name, linears] : families()) QTest::newRow(qPrintable(name)) << name;
    }
    void any_choice_in_any_family_is_selected_exactly() {
        QFETCH(QString, family);
        const auto linears = families()[family];
        TargetTree tree(linears, 4);
        QVERIFY(tree.choose({"all-linear"}));
        const auto heads = std::ranges::count_if(linears, [](const auto& linear) { return adapters::is_head(linear.name); });
        QCOMPARE(tree.chosen(), linears.size() - std::size_t(heads));
        QVERIFY(selects_the_checked(tree, linears));
        tree.choose_attention();
        QVERIFY(tree.chosen() > 0 && tree.chosen() < linears.size());
        QVERIFY(selects_the_checked(tree, linears));
        // Kinds and single layers switched in a fixed disorder.
        std::vector<QModelIndex> lines;
        const std::function<void(QModelIndex)> gather = [&](QModelIndex parent) {  // by value: lines move as they grow
            for (int row = 0; row < tree.rowCount(parent); ++row) {
                lines.push_back(tree.index(row, 0, parent));
                gather(lines.back());
            }
        };
        gather({});
        unsigned state = 1;
        for (int i = 0; i < 200; ++i) {
            state = state * 1664525u + 1013904223u;
            const QModelIndex line = lines[(state >> 8) % lines.size()];
            check(tree, line, line.data(Qt::CheckStateRole) != Qt::Checked);
            QVERIFY2(selects_the_checked(tree, linears), qPrintable(line.data().toString()));
            TargetTree again(linears, 4);
            if (!tree.entries().empty()) QVERIFY(again.choose(tree.entries()));
            QCOMPARE(checked_names(again), checked_names(tree));
        }
    }

    void a_recipes_list_is_read_by_pefts_rules() {
        const auto linears = families()["llama"];
        TargetTree tree(linears, 4);
        QVERIFY(tree.choose({"q_proj", "model.layers.0.mlp.up_proj"}));
        QCOMPARE(tree.chosen(), std::size_t(13));
        QVERIFY(tree.choose({".*[02]\\.mlp\\.(up|down)_proj"}));
        QVERIFY(selects_the_checked(tree, linears));
        const auto before = checked_names(tree);
        QVERIFY(!tree.choose({"q_lin"}));
        QCOMPARE(checked_names(tree), before);
    }

    void layers_outside_the_blocks_stand_alone() {
        TargetTree tree(families()["roberta"], 4);
        const QModelIndex head = find(tree, "classifier.dense");
        QVERIFY(head.isValid());
        QVERIFY(!head.parent().isValid());
        check(tree, head);
        QCOMPARE(tree.entries(), Names{"classifier.dense"});
    }

    void a_line_reads_aloud_what_it_costs() {
        TargetTree tree(families()["llama"], 4);
        const QModelIndex kind = find(tree, "mlp.up_proj ×12");
        check(tree, kind);
        QCOMPARE(kind.data(Qt::AccessibleTextRole).toString(), "mlp.up_proj, 12 of 12 layers chosen, adds 768 parameters");
    }
};

QTEST_GUILESS_MAIN(TargetTreeTest)
#include "target_tree_test.moc"
