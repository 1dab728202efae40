#include "core/recipe/table.h"

namespace qlora::recipe {

namespace {

void add_column_fields(std::vector<Field>& table) {
    using enum Field::Level;
    const std::string guessed = " Left empty, the column is guessed from its name and content.";

    table.push_back(text(
        {.key = "data.columns.text",
         .aliases = {"dataset_text_field", "text_column"},
         .level = advanced,
         .label = "Text column",
         .help = "The column that holds whole texts to continue.",
         .details = "For plain text: every token is learned. In classification: the texts to tell apart. Not together with "
                    "the columns of questions and conversations." + guessed,
         .typical = "text"},
        [](auto& r) -> auto& { return r.data.columns.text; }));
    table.push_back(text(
        {.key = "data.columns.prompt",
         .aliases = {"prompt_column", "question_column"},
         .level = advanced,
         .label = "Prompt column",
         .help = "The column that holds the questions.",
         .details = "Becomes the user's message of the chat template; it is read, not learned." + guessed,
         .typical = "prompt, question, instruction"},
        [](auto& r) -> auto& { return r.data.columns.prompt; }));
    table.push_back(text(
        {.key = "data.columns.completion",
         .aliases = {"completion_column", "answer_column"},
         .level = advanced,
         .label = "Answer column",
         .help = "The column that holds the answers to learn.",
         .details = "Becomes the assistant's message of the chat template." + guessed,
         .typical = "completion, answer, response, output"},
        [](auto& r) -> auto& { return r.data.columns.completion; }));
    table.push_back(text(
        {.key = "data.columns.messages",
         .aliases = {"messages_column"},
         .level = advanced,
         .label = "Messages column",
         .help = "The column that holds whole conversations.",
         .details = "A list of messages, each with role and content; every message of the assistant is "
                    "learned. Not together with the other columns." +
                    guessed,
         .typical = "messages, conversations"},
        [](auto& r) -> auto& { return r.data.columns.messages; }));
    table.push_back(text(
        {.key = "data.columns.system",
         .aliases = {"system_column"},
         .level = advanced,
         .label = "System column",
         .help = "The column that holds each row's system message.",
         .details = "Rows where it is empty take the system prompt below." + guessed,
         .typical = "system"},
        [](auto& r) -> auto& { return r.data.columns.system; }));
    table.push_back(text(
        {.key = "data.columns.label",
         .aliases = {"label_column", "label_column_name"},
         .level = advanced,
         .label = "Label column",
         .help = "The column that holds what each text is.",
         .details = "For classification: words or numbers, one a row, or a list of them." + guessed,
         .typical = "label, sentiment, category"},
        [](auto& r) -> auto& { return r.data.columns.label; }));
}

void add_augment_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(integer(
        {.key = "data.augment.copies",
         .aliases = {},
         .level = advanced,
         .label = "Variants a row",
         .unit = "variants",
         .low = 0,
         .high = 50,
         .help = "Changed copies of each training row.",
         .details = "Each takes one of the changes below in turn; only what is read is changed, never the answer or the label, and "
                    "never rows of validation or test. Helps when rows are few; time an epoch grows in proportion.",
         .typical = "0; 1 to 4 below a thousand rows"},
        [](auto& r) -> auto& { return r.data.augment.copies; }));
    table.push_back(real(
        {.key = "data.augment.synonyms",
         .aliases = {},
         .level = advanced,
         .label = "Synonyms",
         .low = 0,
         .high = 0.5,
         .help = "The part of a variant's words replaced by synonyms.",
         .details = "From WordNet, by the most frequent sense of a word; for English. Words like \"the\" and \"not\" stay.",
         .typical = "0.1"},
        [](auto& r) -> auto& { return r.data.augment.synonyms; }));
    table.push_back(real(
        {.key = "data.augment.swap",
         .aliases = {},
         .level = advanced,
         .label = "Swapped words",
         .low = 0,
         .high = 0.5,
         .help = "The part of a variant's words that change places.",
         .details = "Two words at random, anywhere in the text. Makes a model depend less on the order of words.",
         .typical = "0.1"},
        [](auto& r) -> auto& { return r.data.augment.swap; }));
    table.push_back(real(
        {.key = "data.augment.deletion",
         .aliases = {},
         .level = advanced,
         .label = "Words left out",
         .low = 0,
         .high = 0.5,
         .help = "The part of a variant's words that are left out.",
         .details = "At random; at least one word stays. Too many and a \"not\" is gone with the meaning.",
         .typical = "0.1"},
        [](auto& r) -> auto& { return r.data.augment.deletion; }));
    table.push_back(real(
        {.key = "data.augment.mask",
         .aliases = {},
         .level = advanced,
         .label = "Masked tokens",
         .low = 0,
         .high = 0.5,
         .help = "The part of a variant's read tokens that are masked.",
         .details = "BERT and its kin see their mask token there; for models without one the token is left out.",
         .typical = "0; 0.05 to 0.15"},
        [](auto& r) -> auto& { return r.data.augment.mask; }));
    table.push_back(boolean(
        {.key = "data.augment.balance",
         .aliases = {},
         .level = advanced,
         .label = "Balance classes",
         .help = "More variants of rare classes, up to the commonest.",
         .details = "For classification, where a rare class would otherwise hardly be learned; at most 20 variants of a row. "
                    "Accuracy may fall while the macro F1 rises: that is the point.",
         .typical = "off; on where the largest class has more than three times the rows of the smallest"},
        [](auto& r) -> auto& { return r.data.augment.balance; }));
    const auto paraphrases = [](const Recipe& recipe) { return recipe.data.augment.paraphrases > 0; };
    table.push_back(integer(
        {.key = "data.augment.paraphrases",
         .aliases = {},
         .level = advanced,
         .label = "Paraphrases a row",
         .unit = "paraphrases",
         .low = 0,
         .high = 8,
         .help = "Training rows in other words, written by a model.",
         .details = "The model writes what is read anew, before the run; what is answered stays. A paraphrase that says the same words, "
                    "other numbers, a \"not\" more or less, or something less similar than the limit below is not used, so a row may get fewer. "
                    "Look at them on the Data page first: a small model writes many that are refused. Takes one to two seconds a row and "
                    "paraphrase on two cores with a model of 135 M parameters; what was written is kept for the next run.",
         .typical = "0; 1 or 2 below a few hundred rows"},
        [](auto& r) -> auto& { return r.data.augment.paraphrases; }));
    table.push_back(text(
        {.key = "data.augment.paraphraser",
         .aliases = {},
         .level = advanced,
         .label = "Written by",
         .help = "The model that writes paraphrases; empty: the base model.",
         .details = "A folder, a .gguf file or a catalogue name of a model that writes text, best one tuned to follow instructions. A base "
                    "that only reads, such as BERT, needs another model here.",
         .typical = "empty",
         .matters = paraphrases},
        [](auto& r) -> auto& { return r.data.augment.paraphraser; }));
    table.push_back(real(
        {.key = "data.augment.similarity",
         .aliases = {},
         .level = advanced,
         .label = "Least similarity",
         .low = 0,
         .high = 1,
         .help = "Paraphrases less similar to their row are not used.",
         .details = "The cosine between what the writing model makes of both texts, less what all rows have in common: 1 for the same text, "
                    "about 0 for two rows by chance. Higher keeps fewer, and safer ones. A paraphrase that is nearer to another row is never used.",
         .typical = "0.6 to 0.85",
         .matters = paraphrases},
        [](auto& r) -> auto& { return r.data.augment.similarity; }));
}

}  // namespace

void add_data_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(path(
        {.key = "data.train",
         .aliases = {"train_file", "dataset"},
         .level = simple,
         .label = "Training data",
         .help = "The rows to learn from: a JSON lines, JSON, CSV, TSV, Parquet or text file, or a catalogue "
                 "name.",
         .details = "A few hundred good rows teach a style or a task; facts need many more. Time grows with "
                    "the number of tokens, memory does not. Rows that are wrong are learned as readily as "
                    "right ones, so look at them on the Data page first.",
         .typical = "200 to 50,000 rows"},
        [](auto& r) -> auto& { return r.data.train; }));
    table.push_back(path(
        {.key = "data.validation",
         .aliases = {"validation_file", "eval_file"},
         .level = simple,
         .label = "Validation data",
         .help = "Rows that are never learned, on which the run is watched.",
         .details = "Shows when the model begins to learn rows by heart. Left empty, a part of the training "
                    "rows is held out.",
         .typical = "empty, or a file of 50 to 500 rows"},
        [](auto& r) -> auto& { return r.data.validation; }));
    table.push_back(path(
        {.key = "data.test",
         .aliases = {"test_file"},
         .level = advanced,
         .label = "Test data",
         .help = "Rows kept back for the final figures.",
         .details = "Nothing during the run looks at them, so that the final figures are honest. Left empty, "
                    "the test fraction of the training rows is held out.",
         .typical = "empty, or a file"},
        [](auto& r) -> auto& { return r.data.test; }));

    add_column_fields(table);
    table.push_back(choice(
        {.key = "data.problem_type",
         .aliases = {"problem_type"},
         .level = advanced,
         .label = "Labels are",
         .choices = {"auto", "single_label_classification", "multi_label_classification", "regression"},
         .help = "Whether labels are classes or numbers to be told.",
         .details = "auto follows the label column: words and few different whole numbers are classes, lists hold several "
                    "classes a row, other numbers are values (regression). Only for classification.",
         .typical = "auto"},
        [](auto& r) -> auto& { return r.data.problem_type; }));

    table.push_back(text(
        {.key = "data.system_prompt",
         .aliases = {"system_prompt", "system"},
         .level = advanced,
         .label = "System prompt",
         .help = "Put before conversations that have none.",
         .details =
             "Use the same one when you talk to the tuned model. Its tokens are read in each row, so a long "
             "one costs time and memory in every step. Left empty, the model's chat template decides.",
         .typical = "empty, or one sentence"},
        [](auto& r) -> auto& { return r.data.system_prompt; }));
    table.push_back(integer(
        {.key = "data.max_length",
         .aliases = {"max_length", "max_seq_length", "max_seq_len", "model_max_length", "cutoff_len"},
         .level = simple,
         .label = "Longest row",
         .unit = "tokens",
         .low = 8,
         .high = 1048576,
         .help = "Rows with more tokens than this are cut.",
         .details =
             "Memory for activations and time a step grow with it, attention with its square. Too short cuts "
             "answers off, and the model learns not to finish; the Data page shows how many rows are cut.",
         .typical = "256 to 1024 for question and answer, 2048 and more for documents"},
        [](auto& r) -> auto& { return r.data.max_length; }));
    table.push_back(boolean(
        {.key = "data.packing",
         .aliases = {"packing"},
         .level = advanced,
         .label = "Packing",
         .help = "Fills sequences with as many rows as fit.",
         .details =
             "Rows are never padded here, packed or not, and never see each other. Packing makes every step hold about "
             "the same number of tokens: fewer, larger steps, which suits many short rows and a GPU.",
         .typical = "off"},
        [](auto& r) -> auto& { return r.data.packing; }));
    table.push_back(boolean(
        {.key = "data.answer_only",
         .aliases = {"answer_only", "completion_only_loss", "assistant_only_loss"},
         .level = advanced,
         .label = "Learn answers only",
         .help = "The loss counts the answers, not the questions.",
         .details =
             "On, the model learns to answer. Off, it also learns to write questions like yours, which helps "
             "only when rows are few and the questions are text worth learning. No effect on plain text.",
         .typical = "on"},
        [](auto& r) -> auto& { return r.data.answer_only; }));
    table.push_back(boolean(
        {.key = "data.skip_bad_rows",
         .aliases = {"skip_bad_rows"},
         .level = advanced,
         .label = "Skip broken rows",
         .help = "Leaves out rows that cannot be read.",
         .details = "The run says how many were left out and why. Off, the first broken row is named and "
                    "nothing starts, so that no data is lost unseen.",
         .typical = "off"},
        [](auto& r) -> auto& { return r.data.skip_bad_rows; }));
    table.push_back(real(
        {.key = "data.validation_fraction",
         .aliases = {"validation_fraction", "validation_split", "val_size"},
         .level = simple,
         .label = "Held out for validation",
         .low = 0,
         .high = 0.9,
         .help = "The part of the rows held out, without a file.",
         .details = "Chosen by the seed; equal rows stay on one side. More gives a steadier curve and leaves "
                    "less to learn from. 0 turns validation off: no early stopping, no best step.",
         .typical = "0.05 to 0.1"},
        [](auto& r) -> auto& { return r.data.validation_fraction; }));
    table.push_back(real(
        {.key = "data.test_fraction",
         .aliases = {"test_fraction", "test_size"},
         .level = advanced,
         .label = "Held out for testing",
         .low = 0,
         .high = 0.9,
         .help = "The part kept for the final figures, without a file.",
         .details = "Chosen by the seed; equal rows stay on one side. More gives steadier figures and leaves "
                    "less to learn from.",
         .typical = "0, or 0.1 when figures are compared"},
        [](auto& r) -> auto& { return r.data.test_fraction; }));
    add_augment_fields(table);
}

}  // namespace qlora::recipe
