#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/io/prompt_file.hpp"

using namespace diffuse;

namespace {

ListRules rules_of(ListFormat format, bool keep_going = false) {
  return {.format = format,
          .schedulers = {"ddim", "euler_a", "dpmpp_2m_karras", "EulerDiscreteScheduler"},
          .keep_going = keep_going};
}

PromptList read_text(const std::string& text, const ListRules& rules) {
  PromptLineReader reader("list", rules);
  for (const char c : text) reader.feed(std::string_view(&c, 1));
  return reader.finish();
}

std::string error_of(const std::string& text, ListFormat format) {
  try {
    read_text(text, rules_of(format));
  } catch (const InputError& error) {
    CHECK(error.code() == ExitCode::bad_list);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

std::string json_error(const std::string& line) { return error_of(line + "\n", ListFormat::jsonl); }
std::string csv_error(const std::string& text) { return error_of(text, ListFormat::csv); }
std::string webui_error(const std::string& line) { return error_of(line, ListFormat::webui); }

PromptFields fields_of(const std::string& text, ListFormat format) {
  const PromptList list = read_text(text, rules_of(format));
  REQUIRE(list.prompts.size() == 1);
  return list.prompts[0].fields ? *list.prompts[0].fields : PromptFields{};
}

void has(const std::string& text, const std::string& part) {
  INFO("text: " << text << "\npart: " << part);
  CHECK(text.find(part) != std::string::npos);
}

const std::string kFull =
    R"({"prompt": " a \"red\" cat\n", "negative_prompt": "", "seed": 18446744073709551615, )"
    R"("width": 64, "height": 128, "num_inference_steps": 7, "guidance_scale": 3, )"
    R"("scheduler": "euler_a", "num_images_per_prompt": 2, "name": "castle/one", )"
    R"("metadata": {"z": [1, 2.5, null], "a": "\u00e9"}})";

}  // namespace

TEST_CASE("formats by flag and by the end of the path") {
  CHECK(list_format("auto", "a/list.jsonl") == ListFormat::jsonl);
  CHECK(list_format("auto", "list.ndjson") == ListFormat::jsonl);
  CHECK(list_format("auto", "list.csv") == ListFormat::csv);
  CHECK(list_format("auto", "list.tsv") == ListFormat::tsv);
  CHECK(list_format("auto", "list.txt") == ListFormat::text);
  CHECK(list_format("auto", "-") == ListFormat::text);
  CHECK(list_format("csv", "list.jsonl") == ListFormat::csv);
  CHECK(list_format("webui-lenient", "-") == ListFormat::webui_lenient);
  CHECK_THROWS_AS(list_format("yaml", "-"), ConfigError);
}

TEST_CASE("JSON Lines: every field, blank lines, plain prompts without fields") {
  const PromptList list = read_text("\xEF\xBB\xBF" + kFull + "\r\n\n{\"prompt\": \"dog\"}",
                                    rules_of(ListFormat::jsonl));
  REQUIRE(list.prompts.size() == 2);
  CHECK(list.blank_lines == 1);
  CHECK(list.prompts[0].prompt == "a \"red\" cat");
  CHECK(list.prompts[1].prompt == "dog");
  CHECK(list.prompts[1].line == 3);
  CHECK(list.prompts[1].fields == nullptr);
  PromptFields want;
  want.negative_prompt = "";
  want.seed = ~std::uint64_t{0};
  want.width = 64;
  want.height = 128;
  want.num_inference_steps = 7;
  want.guidance_scale = 3;
  want.scheduler = "euler_a";
  want.num_images_per_prompt = 2;
  want.name = "castle/one";
  want.metadata = "{\"z\":[1,2.5,null],\"a\":\"\xC3\xA9\"}";
  REQUIRE(list.prompts[0].fields);
  CHECK(*list.prompts[0].fields == want);
  CHECK(fields_of(R"({"prompt": "a", "seed": null, "width": null, "metadata": null})",
                  ListFormat::jsonl) == PromptFields{});
  CHECK(fields_of(R"({"prompt": "a", "seed": 9007199254740993})", ListFormat::jsonl).seed ==
        9007199254740993U);
}

TEST_CASE("JSON Lines: mistakes are named") {
  has(json_error(R"({"promt": "a"})"), R"(unknown key "promt" (did you mean "prompt"?))");
  has(json_error(R"({"promt": "a"})"), "prompt is missing");
  has(json_error(R"({"prompt": "a", "steps": 5})"), R"(unknown key "steps")");
  has(json_error(R"({"prompt": "a", "Seed": 5})"), R"((did you mean "seed"?))");
  has(json_error(R"({"prompt": "a", "zzzzzzzzzzzzzz": 5})"), "unknown key \"zzzzzzzzzzzzzz\";");
  has(json_error(R"({"prompt": ""})"), "prompt is blank");
  has(json_error(R"({"prompt": " \n "})"), "prompt is blank");
  has(json_error(R"({"prompt": 5})"), "prompt must be a text in quotes, not 5");
  has(json_error(R"({"prompt": null})"), "prompt is missing");
  has(json_error(R"({"prompt": ["a", "b"]})"), "prompt must be a text in quotes, not an array");
  has(json_error(R"({"prompt": "a", "seed": -1})"), "seed must be a whole number from 0");
  has(json_error(R"({"prompt": "a", "seed": 18446744073709551616})"), "seed must be");
  has(json_error(R"({"prompt": "a", "seed": 7.0})"), "seed must be a whole number");
  has(json_error(R"({"prompt": "a", "seed": "7"})"), "seed must be a whole number");
  has(json_error(R"({"prompt": "a", "seed": true})"), "seed must be a whole number");
  has(json_error(R"({"prompt": "a", "width": 0})"), "width must be from 1 to 32768, not 0");
  has(json_error(R"({"prompt": "a", "height": 99999999999})"), "height must be from 1 to 32768");
  has(json_error(R"({"prompt": "a", "num_inference_steps": -3})"), "num_inference_steps must be");
  has(json_error(R"({"prompt": "a", "num_images_per_prompt": 1e6})"), "num_images_per_prompt must");
  has(json_error(R"({"prompt": "a", "guidance_scale": NaN})"), "no valid JSON");
  has(json_error(R"({"prompt": "a", "guidance_scale": 1e400})"), "no valid JSON");
  has(json_error(R"({"prompt": "a", "guidance_scale": "7"})"), "guidance_scale must be a number");
  has(json_error(R"({"prompt": "a", "scheduler": "fastest"})"), R"(unknown scheduler "fastest")");
  has(json_error(R"({"prompt": "a", "name": ""})"), "name is empty");
  has(json_error(R"({"prompt": "a", "prompt": "b"})"), R"(the key "prompt" is given twice)");
  has(json_error(R"({"prompt": "a", "metadata": {"x": 1, "x": 2}})"),
      R"(the key "x" is given twice)");
  has(json_error("{\"prompt\": \"a\\u0000b\"}"), "prompt holds a NUL");
  has(json_error("{\"prompt\": \"\\ud800\"}"), "no valid JSON");
  has(json_error("[\"a\"]"), "not an object");
  has(json_error("\"a\""), "not an object");
  has(json_error("a cat"), "no valid JSON");
  has(json_error("{\"prompt\": \"a\"} {}"), "no valid JSON");
  has(json_error("{\"prompt\": \"a\""), "no valid JSON");
  has(json_error(R"({"prompt": "a", "metadata": ")" + std::string(20'000, 'x') + "\"}"),
      "metadata is longer than 16384 bytes");
  for (const char* bracket : {"[", "{\"a\":"}) {
    std::string deep = R"({"prompt": "a", "metadata": )";
    for (int i = 0; i < 10'000; ++i) deep += bracket;
    has(json_error(deep), "nests deeper than 16 levels");
  }
  // All of a line and of all lines.
  const std::string both =
      json_error("{\"prompt\": \"\", \"sead\": 1}\n{}\n{\"prompt\": \"a\"}\n[]");
  has(both,
      R"(line 1: prompt is blank, unknown key "sead" (did you mean "seed"?); line 2: prompt)");
  has(both, "line 4: not an object");
}

TEST_CASE("wrong lines are kept as failures if the rules say so") {
  const PromptList list = read_text(
      "{\"prompt\": \"a\"}\n{\"num_images_per_prompt\": 3, \"prompt\": \"b\", \"x\": 1}\n"
      "\xFF\x1b[31m\n{\"prompt\": \"c\"}\n",
      rules_of(ListFormat::jsonl, true));
  REQUIRE(list.prompts.size() == 4);
  CHECK_FALSE(list.prompts[0].fields);
  REQUIRE(list.prompts[1].fields);
  has(list.prompts[1].fields->mistake, "unknown key \"x\"");
  CHECK(list.prompts[1].fields->num_images_per_prompt == 3);
  CHECK(list.prompts[1].prompt == "b");
  REQUIRE(list.prompts[2].fields);
  has(list.prompts[2].fields->mistake, "invalid UTF-8 at byte 1");
  CHECK(list.prompts[2].prompt == "\\xFF\\u{1B}[31m");
  CHECK(list.prompts[3].line == 4);
}

TEST_CASE("CSV: header, quotes, line ends inside cells, empty cells") {
  const PromptList list = read_text(
      "\xEF\xBB\xBFprompt,seed,name,metadata\r\n"
      "a cat,1,,\r\n"
      "\"a \"\"red\"\" cat, sitting\",18446744073709551615,x,\"id=5; \"\"q\"\"\"\r\n"
      "\r\n"
      "\"two\r\nlines\",,,\r\n"
      "last,4,z,",
      rules_of(ListFormat::csv));
  REQUIRE(list.prompts.size() == 4);
  CHECK(list.prompts[0].prompt == "a cat");
  CHECK(list.prompts[0].fields->seed == 1U);
  CHECK(list.prompts[1].prompt == "a \"red\" cat, sitting");
  CHECK(list.prompts[1].fields->seed == ~std::uint64_t{0});
  CHECK(list.prompts[1].fields->metadata == "\"id=5; \\\"q\\\"\"");
  CHECK(list.prompts[2].prompt == "two\nlines");
  CHECK(list.prompts[2].line == 5);
  CHECK_FALSE(list.prompts[2].fields);
  CHECK(list.prompts[3].line == 7);
  CHECK(list.blank_lines == 1);
  const PromptList tabs =
      read_text("seed\tprompt\n3\ta, b \"c\"\n", {.format = ListFormat::tsv, .keep_going = true});
  REQUIRE(tabs.prompts.size() == 1);
  has(tabs.prompts[0].fields->mistake, "a quote inside a cell without quotes");
  CHECK(read_text("seed\tprompt\n3\ta, b\n", rules_of(ListFormat::tsv)).prompts[0].prompt ==
        "a, b");
  CHECK(fields_of("prompt,guidance_scale\na,7.25\n", ListFormat::csv).guidance_scale == 7.25);
}

TEST_CASE("CSV: mistakes") {
  has(csv_error("promt,seed\na,1\n"), "line 1, the row of column names");
  has(csv_error("promt,seed\na,1\n"), R"(unknown key "promt" (did you mean "prompt"?))");
  has(csv_error("prompt,prompt\na,b\n"), "the column \"prompt\" is there twice");
  has(csv_error("a cat,a dog\n"), "there is no column \"prompt\"");
  has(csv_error("prompt,seed\n"), "no prompts");
  has(csv_error("prompt,seed\na\nb,1\nc,1,2\n"),
      "line 2: 1 cells where there are 2 columns; line 4: 3");
  has(csv_error("prompt,seed\n,1\n"), "line 2: prompt is missing");
  has(csv_error("prompt,seed\na,-1\n"), "line 2: seed must be a whole number, not \"-1\"");
  has(csv_error("prompt,seed\na, 1\n"), "seed must be");
  has(csv_error("prompt,seed\na,1.0\n"), "seed must be");
  has(csv_error("prompt,guidance_scale\na,nan\n"), "guidance_scale must be a finite number");
  has(csv_error("prompt,guidance_scale\na,\"7,5\"\n"), "guidance_scale must be a finite number");
  has(csv_error("prompt\n\"a\"b\nc\n"), "line 2: cell 1: text after the closing quote");
  has(csv_error("prompt\na\n\"never closed\nb\nc"), "line 3: a quote is opened and never closed");
  std::string endless = "prompt\n\"";
  for (int i = 0; i < 100'000; ++i) endless += "x\n";
  has(csv_error(endless), "line 2: cell 1: the row is longer than 65536 bytes");
}

TEST_CASE("CSV: a line that is wrong in itself takes the row or the header that it is in along") {
  has(csv_error("\xFF,prompt\na,b\n"), "line 1, the row of column names");
  has(csv_error("prompt,name\n\"a\n\xFF\nb\",c\n"),
      "line 2: line 3, inside the row: invalid UTF-8 at byte 1 (0xFF)");
  const PromptList list =
      read_text("prompt\n\"a\n\xFF\nb\n\xFF\nc\n", rules_of(ListFormat::csv, true));
  REQUIRE(list.prompts.size() == 4);
  CHECK(list.prompts[0].line == 2);
  has(list.prompts[0].fields->mistake, "line 3, inside the row");
  CHECK(list.prompts[1].prompt == "b");
  CHECK(list.prompts[2].line == 5);
  has(list.prompts[2].fields->mistake, "invalid UTF-8 at byte 1");
  CHECK(list.prompts[3].prompt == "c");
}

TEST_CASE("webui lines: a prompt as it stands, or tags") {
  const PromptList plain =
      read_text("a cat, it's (red:1.2)\n  spaced  \n", rules_of(ListFormat::webui));
  CHECK(plain.prompts[0].prompt == "a cat, it's (red:1.2)");
  CHECK(plain.prompts[1].prompt == "spaced");
  const PromptList list = read_text(
      R"(--prompt "a cat" on a mat --negative_prompt ugly, "very blurry" --seed 5 --steps 7 )"
      R"(--cfg_scale 3.5 --width 64 --height 128 --sampler_name "Euler A" --batch_size 2 --n_iter 3 )"
      R"(--do_not_save_grid true)",
      rules_of(ListFormat::webui));
  REQUIRE(list.prompts.size() == 1);
  CHECK(list.prompts[0].prompt == "a cat on a mat");
  PromptFields want;
  want.negative_prompt = "ugly, very blurry";
  want.seed = 5;
  want.num_inference_steps = 7;
  want.guidance_scale = 3.5;
  want.width = 64;
  want.height = 128;
  want.scheduler = "euler_a";
  want.num_images_per_prompt = 6;
  CHECK(*list.prompts[0].fields == want);
  CHECK(fields_of("--prompt a --seed -1", ListFormat::webui) == PromptFields{});
  CHECK(read_text(R"(--prompt 'x \ y' "p \" \n q" \"r)", rules_of(ListFormat::webui))
            .prompts[0]
            .prompt == R"(x \ y p " \n q "r)");
}

TEST_CASE("webui lines: mistakes are refused, or become prompts as in the webui") {
  const std::vector<std::string> wrong = {"a cat --steps 20",
                                          "--prompt it's red --steps 20",
                                          "--prompt a --stepz 20",
                                          "--prompt a --steps",
                                          "--steps 20",
                                          "--prompt a --steps 5 --steps 6",
                                          "--prompt a --styles x",
                                          "--prompt a --width 7.5"};
  has(webui_error(wrong[0]), "line 1: \"a\" stands before any --tag");
  has(webui_error(wrong[0]), "webui-lenient");
  has(webui_error(wrong[1]), "a quote or a backslash is left open");
  has(webui_error(wrong[2]), "the tag --stepz is not supported");
  has(webui_error(wrong[3]), "--steps has no value");
  has(webui_error(wrong[4]), "prompt is missing");
  has(webui_error(wrong[5]), "--steps is given twice");
  has(webui_error(wrong[6]), "the tag --styles is not supported");
  has(webui_error(wrong[7]), "width must be a whole number");
  has(webui_error("--prompt a --n_iter 99999999999999999999999"), "n_iter must be");
  has(webui_error("--prompt a --n_iter 1000000 --batch_size 1000000"),
      "num_images_per_prompt must");
  for (const std::string& line : wrong) {
    const PromptList list = read_text(line, rules_of(ListFormat::webui_lenient));
    CHECK(list.prompts[0].prompt == line);
    CHECK_FALSE(list.prompts[0].fields);
  }
}
