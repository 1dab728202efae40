#include <QTemporaryDir>
#include <QtTest>
#include <clocale>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/recipe/fields.h"

using namespace qlora;
using namespace qlora::recipe;

namespace {

Json json(const std::string& text) {
    return parse_json(text, "test");
}

// Reads a recipe that must have no problems.
Recipe read(const std::string& text, const std::filesystem::path& folder = {}) {
    std::vector<Problem> problems;
    Recipe recipe = from_json(json(text), folder, problems);
    for (const Problem& problem : problems)
        throw std::runtime_error(problem.field + ": " + problem.expected + ", got " + problem.got);
    return recipe;
}

// The fields of the problems of reading `text`, joined by spaces.
QString problems_of(const std::string& text) {
    std::vector<Problem> problems;
    from_json(json(text), {}, problems);
    QStringList fields;
    for (const Problem& problem : problems) fields << QString::fromStdString(problem.field);
    return fields.join(' ');
}

// A value within the field's range that is not its default.
Json another_value(const Field& field) {
    switch (field.type) {
        case Field::Type::boolean:
            return !field.default_value().get<bool>();
        case Field::Type::integer:
            return field.choices.empty()
                       ? static_cast<std::int64_t>(field.low) + (field.low == field.default_value() ? 1 : 0)
                       : std::stoll(field.choices.back());
        case Field::Type::real:
            return field.low + (field.high - field.low) / 3;
        case Field::Type::choice:
            return field.choices.back();
        case Field::Type::list:
            return Json::array({"q_proj", "v_proj"});
        case Field::Type::text:
        case Field::Type::path:
            return "something";
    }
    return nullptr;
}

Recipe smallest() {
    return read(R"({"model": "smollm2-135m", "data": {"train": "support"}})");
}

QString set_code(Recipe& recipe, const std::string& assignment) {
    try {
        set(recipe, assignment);
    } catch (const Error& error) {
        return QString::fromStdString(error.code());
    }
    return {};
}

}  // namespace

class RecipeTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;
    std::filesystem::path path(const char* name) const { return folder_.filePath(name).toStdString(); }

  private slots:
    void every_choice_is_taken_as_it_is_spelled() {
        for (const Field& field : fields())
            for (const std::string& choice : field.choices) {
                if (field.type != Field::Type::choice) continue;
                Recipe recipe;
                QVERIFY2(field.set(recipe, choice) && field.get(recipe) == choice, (field.key + " " + choice).c_str());
            }
    }

    void the_table_says_everything_about_each_field() {
        std::set<std::string> names;
        for (const Field& field : fields()) {
            const char* key = field.key.c_str();
            QVERIFY2(names.insert(field.key).second, key);
            for (const std::string& alias : field.aliases)
                QVERIFY2(names.insert(alias).second, alias.c_str());
            for (const std::string& text : {field.label, field.help, field.details, field.typical})
                QVERIFY2(!text.empty(), key);
            QVERIFY2(field.help.ends_with('.') && field.details.ends_with('.'), key);
            QVERIFY2(field.help.size() <= 110, key);
            bool number = field.type == Field::Type::integer || field.type == Field::Type::real;
            QCOMPARE(number, field.low < field.high);
            QVERIFY2(field.type != Field::Type::choice || !field.choices.empty(), key);
        }
        QVERIFY(fields().size() >= 40);
    }

    void the_default_recipe_lies_in_every_range() {
        Recipe recipe = smallest();
        QVERIFY(validate(recipe).empty());
        for (const Field& field : fields())
            QVERIFY2(field.set(recipe, field.default_value()), field.key.c_str());
    }

    void every_field_comes_back_through_json() {
        Recipe recipe;
        for (const Field& field : fields()) {
            Json value = another_value(field);
            QVERIFY2(field.set(recipe, value), field.key.c_str());
            QVERIFY2(field.get(recipe) == value, field.key.c_str());
        }
        Recipe back = read(to_json(recipe).dump());
        QVERIFY(back == recipe);
        std::vector<std::string> unlike = differences(recipe, Recipe{});
        for (const Field& field : fields())
            QCOMPARE(std::find(unlike.begin(), unlike.end(), field.key) != unlike.end(),
                     field.choices.size() != 1);
    }

    void values_at_the_edge_are_taken_and_beyond_it_refused() {
        for (const Field& field : fields()) {
            const char* key = field.key.c_str();
            Recipe recipe;
            const Recipe untouched = recipe;
            auto refused = [&](const Json& value) {
                return !field.set(recipe, value) && recipe == untouched;
            };
            QVERIFY2(refused(Json::object()) && refused(nullptr), key);
            if (field.type == Field::Type::integer || field.type == Field::Type::real) {
                double outside = field.type == Field::Type::integer ? 1 : field.low / 2 + 1e-12;
                QVERIFY2(refused(field.low - outside), key);
                QVERIFY2(refused(field.high * 1.5), key);
                QVERIFY2(refused("8") && refused(true) && refused(NAN), key);
                QVERIFY2(field.type == Field::Type::real || refused(field.low + 0.5), key);
                QVERIFY2(field.set(recipe, field.low) && field.set(recipe, field.high), key);
            } else if (field.type == Field::Type::choice) {
                QVERIFY2(refused("no such choice") && refused(1), key);
            } else if (field.type == Field::Type::list) {
                QVERIFY2((field.default_value().empty() || (refused(Json::array()) && refused(""))) && refused(Json::array({1})), key);
            } else if (field.type != Field::Type::boolean) {
                QVERIFY2(refused(3) && refused(std::string("a\0b", 3)), key);
            } else {
                QVERIFY2(refused(1) && refused("true"), key);
            }
        }
    }

    void names_of_peft_and_transformers_are_taken_at_any_level() {
        Recipe recipe = read(R"({
            "base_model_name_or_path": "m", "r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "use_rslora": true,
            "target_modules": ["q_proj"], "peft_type": "LORA", "task_type": "CAUSAL_LM", "bnb_4bit_quant_type": "fp4",
            "bnb_4bit_use_double_quant": false, "bnb_4bit_compute_dtype": "bfloat16",
            "train": {"num_train_epochs": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
                      "lr": 1e-3, "lr_scheduler_type": "constant_with_warmup", "warmup_ratio": 0.1, "max_grad_norm": 0.3,
                      "save_steps": 10, "save_total_limit": 3, "adam_beta2": 0.99, "adam_epsilon": 1e-6, "eval_steps": 5},
            "data": {"max_seq_length": 64, "packing": false, "train_file": "t"},
            "early_stopping_patience": 4, "early_stopping_threshold": 0.01, "load_best_model_at_end": false,
            "weight_decay": 0.01, "seed": 7, "output_dir": "o"})");
        Recipe expected;
        expected.model = "m", expected.precision = Precision::fp4, expected.double_quantization = false;
        expected.compute = "bf16", expected.output = "o";
        expected.method.rank = 8, expected.method.alpha = 16, expected.method.dropout = 0.05;
        expected.method.rslora = true, expected.method.target_modules = {"q_proj"};
        expected.train.epochs = 2, expected.train.batch_size = 4, expected.train.accumulate = 2;
        expected.train.learning_rate = 1e-3, expected.train.schedule = Schedule::constant,
        expected.train.warmup = 0.1;
        expected.train.max_grad_norm = 0.3, expected.train.checkpoint_every = 10,
        expected.train.keep_checkpoints = 3;
        expected.train.beta2 = 0.99, expected.train.epsilon = 1e-6, expected.train.weight_decay = 0.01;
        expected.train.seed = 7, expected.evaluate.every = 5;
        expected.data.max_length = 64, expected.data.packing = false, expected.data.train = "t";
        expected.early_stopping = {4, 0.01, false};
        for (const std::string& key : differences(recipe, expected)) QFAIL(key.c_str());
        QCOMPARE(read(R"({"train.learning_rate": 0.5})").train.learning_rate, 0.5);
        QCOMPARE(read(R"({"target_modules": "all-linear"})").method.target_modules,
                 std::vector<std::string>{"all-linear"});
        QCOMPARE(read(R"({"rank": 8.0, "validation_file": null})").method.rank, 8);
    }

    void a_task_goes_by_the_names_of_its_peers() {
        for (const auto& [word, task] : {std::pair{"SEQ_CLS", Task::classification}, {"seq_cls", Task::classification},
                                         {"text-classification", Task::classification}, {"SEQ_2_SEQ_LM", Task::seq2seq},
                                         {"seq2seq", Task::seq2seq}, {"CAUSAL_LM", Task::causal_lm}}) {
            const Recipe recipe = read("{\"task_type\": \"" + std::string(word) + "\"}");
            QVERIFY2(recipe.task == task, word);
            QVERIFY(read(to_json(recipe).dump()) == recipe);
        }
        QCOMPARE(problems_of(R"({"task_type": "TOKEN_CLS"})"), "task (\"task_type\")");
        QCOMPARE(problems_of(R"({"task": "FEATURE_EXTRACTION"})"), "task");
        const Recipe recipe = read(R"({"task_type": "SEQ_CLS", "problem_type": "multi_label_classification", "use_dora": true,
                                       "data": {"label_column": "y", "text_column": "t"}})");
        QVERIFY(recipe.method.dora);
        QVERIFY(recipe.data.problem_type == ProblemType::multi_label);
        QCOMPARE(recipe.data.columns.label, "y");
        QCOMPARE(recipe.data.columns.text, "t");
        QVERIFY(read(to_json(recipe).dump()) == recipe);
        QVERIFY(read(R"({"data": {"columns": {"label": "y"}, "problem_type": "regression"}})").data.problem_type == ProblemType::regression);
        QVERIFY(read(R"({"method": {"dora": true}})").method.dora);
        QCOMPARE(problems_of(R"({"use_dora": 1, "problem_type": "ranking", "label_column": 3})"),
                 "data.columns.label (\"label_column\") data.problem_type (\"problem_type\") method.dora (\"use_dora\")");
    }

    void what_a_task_has_no_use_for_is_found_all_at_once() {
        auto found = [](const Recipe& recipe) {
            QStringList fields;
            for (const Problem& problem : validate(recipe)) fields << QString::fromStdString(problem.field);
            return fields.join(' ');
        };
        Recipe recipe = smallest();
        recipe.data.columns.label = "y";
        recipe.data.problem_type = ProblemType::regression;
        QCOMPARE(found(recipe), "data.columns.label data.problem_type");
        recipe.task = Task::classification;
        QCOMPARE(found(recipe), "");
        recipe.data.columns.text = "t";
        QCOMPARE(found(recipe), "");
        recipe.data.packing = true;
        recipe.data.columns.prompt = "q";
        recipe.data.columns.completion = "a";
        recipe.data.columns.text.clear();
        recipe.early_stopping.patience = 2;
        recipe.data.validation_fraction = 0;
        QCOMPARE(found(recipe), "data.columns.prompt data.columns.completion data.packing early_stopping.patience");
        recipe = smallest();
        recipe.task = Task::seq2seq;
        recipe.data.columns.prompt = "q";
        recipe.data.columns.completion = "a";
        QCOMPARE(found(recipe), "");
        recipe.data.columns = {};
        recipe.data.columns.text = "t";
        recipe.data.columns.label = "y";
        recipe.data.packing = true;
        QCOMPARE(found(recipe), "data.columns.label data.columns.text data.packing");
        for (const Problem& problem : validate(recipe)) QVERIFY(!problem.expected.empty() && !problem.got.empty() && !problem.hint.empty());
    }

    void adapters_without_sense_are_refused_before_anything_runs() {
        for (const char* method : {R"("rank": 0)", R"("rank": -4)", R"("rank": 100000)", R"("rank": 1e300)", R"("alpha": 0)", R"("alpha": -1)", R"("alpha": null, "rank": 0)",
                                   R"("dropout": 1)", R"("dropout": -0.1)", R"("target_modules": [])", R"("target_modules": "")"})
            QVERIFY2(problems_of("{\"method\": {" + std::string(method) + "}}").startsWith("method."), method);
        Recipe recipe = smallest();
        recipe.method.rank = 0;
        recipe.method.alpha = NAN;
        recipe.method.dropout = INFINITY;
        recipe.method.target_modules.clear();
        QStringList fields;
        for (const Problem& problem : validate(recipe)) fields << QString::fromStdString(problem.field);
        QCOMPARE(fields.join(' '), "method.rank method.alpha method.dropout method.target_modules");
    }

    void warmup_is_a_share_or_a_number_of_steps() {
        QCOMPARE(read(R"({"warmup_steps": 20})").train.warmup, 20.0);
        QCOMPARE(read(R"({"warmup_steps": 0, "warmup_ratio": 0.1})").train.warmup, 0.1);
        QCOMPARE(read(R"({"warmup_steps": 0})").train.warmup, 0.0);
        QCOMPARE(problems_of(R"({"warmup_ratio": 1.5})"), "warmup_ratio");
        QCOMPARE(problems_of(R"({"warmup_ratio": 0.1, "warmup_steps": 5})"), "train.warmup");
    }

    void one_field_under_two_names_is_told() {
        QCOMPARE(problems_of(R"({"r": 8, "method": {"rank": 16}})"), "method.rank");
        QCOMPARE(problems_of(R"({"r": 8, "method": {"rank": 8}})"), "");
    }

    void a_recipe_with_six_mistakes_lists_all_six() {
        write_atomically(path("six.json"), R"({
            "data": {"train": "support.jsonl", "max_lenght": 512},
            "method": {"kind": "lora", "rank": 0, "alpha": "32"},
            "precision": "nf5",
            "train": {"learning_rate": 200, "seed": 1.5}})");
        try {
            load(path("six.json"));
            QFAIL("accepted");
        } catch (const Error& error) {
            QCOMPARE(error.exit_code(), 2);
            QCOMPARE(error.code(), "recipe.invalid");
            QString message = QString::fromStdString(error.message());
            QCOMPARE(message.split('\n').size(), 1 + 7);  // the missing model is the seventh
            for (const char* part : {
                     "six.json: 7 problems",
                     "data.max_lenght: expected a key of a recipe, got an unknown key (did you mean "
                     "\"data.max_length\"?)",
                     "method.rank: expected an integer from 1 to 1024, got 0",
                     "method.alpha: expected a number from 0.001 to 65536, got the string \"32\" (write it "
                     "without quotes)",
                     "precision: expected one of fp32, fp16, bf16, int8, nf4, fp4, int4, native, int3, got the "
                     "string \"nf5\"",
                     "train.learning_rate: expected a number from 1e-09 to 1, got 200",
                     "train.seed: expected an integer from 0 to 9007199254740991, got 1.5",
                     "model: expected a folder, a .gguf file or a catalogue name, got nothing",
                 })
                QVERIFY2(message.contains(part), qPrintable(QString(part) + "\n is not in \n" + message));
        }
    }

    void what_is_set_in_vain_is_found() {
        Recipe recipe;
        QVERIFY(without_effect(recipe).empty());
        const auto keys = [&] {
            QStringList found;
            for (const Field* field : without_effect(recipe)) found << QString::fromStdString(field->key);
            return found.join(" ");
        };
        recipe.data.augment.mask = 0.5;
        recipe.method.kind = MethodKind::adapter;
        recipe.method.dropout = 0.9;
        QCOMPARE(keys(), QString("data.augment.mask method.dropout"));
        recipe.data.augment.copies = 1;
        recipe.method.kind = MethodKind::lora;
        QCOMPARE(keys(), QString());
        recipe.data.augment.balance = true;
        recipe.method.dora = true;
        recipe.method.adapter = "somewhere";
        QCOMPARE(keys(), QString("data.augment.balance method.dora"));
    }

    void a_mistyped_key_is_answered_with_the_nearest() {
        QCOMPARE(nearest_key("learning_rat"), "train.learning_rate");
        QCOMPARE(nearest_key("train.learnig_rate"), "train.learning_rate");
        QCOMPARE(nearest_key("lora-aplha"), "method.alpha");
        QCOMPARE(nearest_key("Batch_Size"), "train.batch_size");
        QCOMPARE(nearest_key("bananas"), "");
        QCOMPARE(nearest_key(std::string(100000, 'x')), "");
    }

    void other_shapes_of_json_are_problems_too() {
        QCOMPARE(problems_of("[1]"), "recipe");
        QCOMPARE(problems_of(R"({"data": "support.jsonl"})"), "data");
        QCOMPARE(problems_of(R"({"train": {"extra": {"rank": 3}}})"), "train.extra");
        QCOMPARE(problems_of(R"({"load_in_4bit": true})"), "load_in_4bit");
    }

    void contradictions_are_found_all_at_once() {
        Recipe recipe = smallest();
        recipe.data.columns = {.text = "a", .prompt = "b", .completion = "c", .messages = "", .system = "", .label = ""};
        recipe.data.validation = recipe.data.train;
        recipe.data.test_fraction = 0.9;
        recipe.data.validation_fraction = 0.9;
        recipe.train.max_steps = 10;
        recipe.train.warmup = 10;
        recipe.method.rank = -3;
        QStringList fields;
        for (const Problem& problem : validate(recipe)) {
            fields << QString::fromStdString(problem.field);
            QVERIFY(!problem.expected.empty() && !problem.got.empty());
        }
        QCOMPARE(fields.join(' '), "data.validation data.columns method.rank train.warmup");
        recipe = smallest();
        recipe.early_stopping.patience = 3;
        QVERIFY(validate(recipe).empty());
        recipe.data.validation_fraction = 0;
        recipe.data.columns.prompt = "q";
        QCOMPARE(validate(recipe).size(), 2u);
    }

    void relative_paths_belong_to_the_recipes_folder() {
        write_atomically(path("known.jsonl"), "{}");
        write_atomically(path("plain"), "{}");
        std::string folder = folder_.path().toStdString();
        write_atomically(path("r.json"), R"({"model": "smollm2-135m", "output": "runs/first", "data":
            {"train": "known.jsonl", "validation": "later.jsonl", "test": "/else/where.csv"}})");
        Recipe recipe = load(path("r.json"));
        QCOMPARE(recipe.model, "smollm2-135m");
        QCOMPARE(recipe.data.train, folder + "/known.jsonl");
        QCOMPARE(recipe.data.validation, folder + "/later.jsonl");
        QCOMPARE(recipe.data.test, "/else/where.csv");
        QCOMPARE(recipe.output, folder + "/runs/first");
        QCOMPARE(read(R"({"model": "plain"})", folder).model, folder + "/plain");
        QCOMPARE(read(R"({"model": "../plain"})", folder + "/sub").model, folder + "/plain");
        QCOMPARE(read(R"({"model": "models/plain"})").model, "models/plain");
    }

    void one_field_is_set_as_text() {
        Recipe recipe = smallest();
        for (const char* assignment : {"train.learning_rate=1e-3", "r=8", "train.packing=x"}) {
            if (std::string(assignment) == "train.packing=x")
                QCOMPARE(set_code(recipe, assignment), "recipe.set");
            else
                QCOMPARE(set_code(recipe, assignment), "");
        }
        QCOMPARE(recipe.train.learning_rate, 1e-3);
        QCOMPARE(recipe.method.rank, 8);
        set(recipe, "data.packing=false");
        QVERIFY(!recipe.data.packing);
        set(recipe, "target_modules=q_proj, v_proj");
        QCOMPARE(recipe.method.target_modules, (std::vector<std::string>{"q_proj", "v_proj"}));
        set(recipe, "data.system_prompt=a=b");
        QCOMPARE(recipe.data.system_prompt, "a=b");
        set(recipe, "precision=NF4");
        set(recipe, "output=here");
        QCOMPARE(recipe.output, (std::filesystem::current_path() / "here").string());
        for (const char* wrong :
             {"", "rank", "=3", "rank=", "rank=0", "rank=8x", "rank=1.5", "lr=0,001", "lr=nan", "lr=inf",
              "data.packing=yes", "precision=nf5", "rnak=3", "target_modules="})
            QCOMPARE(set_code(recipe, wrong), "recipe.set");
    }

    void numbers_are_read_the_same_where_the_decimal_mark_is_a_comma() {
        const char* comma = nullptr;
        for (const char* locale : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "ru_RU.UTF-8"})
            if (comma == nullptr && std::setlocale(LC_ALL, locale) != nullptr) comma = locale;
        Recipe recipe;
        set(recipe, "lr=0.25");
        recipe = read(to_json(recipe).dump());
        std::setlocale(LC_ALL, "C");
        QCOMPARE(recipe.train.learning_rate, 0.25);
        if (comma == nullptr)
            QSKIP("no locale with a decimal comma is installed; read in the C locale alone");
    }

    void a_run_without_a_name_is_named_after_what_it_does() {
        Recipe recipe = smallest();
        QCOMPARE(title(recipe), "smollm2-135m on support, nf4 LoRA r 16");
        recipe.model = "/models/SmolLM2-1.7B";
        recipe.data.train = "/data/my.rows.jsonl";
        QCOMPARE(title(recipe), "SmolLM2-1.7B on my.rows, nf4 LoRA r 16");
        recipe.name = "Mine";
        QCOMPARE(title(recipe), "Mine");
    }
};

QTEST_GUILESS_MAIN(RecipeTest)
#include "recipe_test.moc"
