// Prompts to a box's agent, and the events of what it does: as they come, or told to a webhook at the end.

#include "base/ids.h"
#include "base/text.h"
#include "daemon/api/quiet.h"
#include "daemon/api/resources.h"
#include "daemon/files/files.h"
#include "daemon/log.h"
#include "daemon/spawn.h"
#include "daemon/wire/attached_header.h"
#include "daemon/wire/multipart.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostFiles = 10;
constexpr size_t kMostFile = 10 << 20;                              // bytes
constexpr size_t kMostPromptBody = kMostFiles * kMostFile * 3 / 2;  // as base64, and the words around it
constexpr size_t kMostPrompt = 1 << 20;
constexpr size_t kMostSettings = 128 << 10;  // bytes of JSON that the agent's program is given as an argument

// What decode_prompt() and decode_surroundings() read.
constexpr std::initializer_list<const char*> kRead = {"prompt", "json_schema", "agent_options", "folder",
                                                      "user",   "env",         "timeout"};

struct File {
    std::string name;
    std::string content;
};

struct AskedPrompt {
    Fields fields;
    std::vector<File> files;
    std::string words{};  ///< the fields that are read again if it has to wait
};

// The last part of a path, without what would lead elsewhere; a name made up for one that has none.
std::string file_name(const std::string& given, size_t number) {
    const size_t slash = given.find_last_of("/\\");
    std::string name = slash == std::string::npos ? given : given.substr(slash + 1);
    if (name.empty() || name == "." || name == ".." || name.size() > 255 || name.find('\0') != std::string::npos) {
        name = "file-" + std::to_string(number);
    }
    return name;
}

Result<void> check_files(const std::vector<File>& files) {
    if (files.size() > kMostFiles) return invalid("files: at most 10 with one prompt");
    for (const File& file : files) {
        if (file.content.size() > kMostFile) {
            return Error{ErrorKind::kTooLarge, 0, "files: " + file.name + " is larger than 10 MiB"};
        }
    }
    return {};
}

Result<AskedPrompt> decode_json(const std::string& body) {
    Fields fields = TRY(Fields::parse(body));
    std::vector<File> files;
    for (const Fields& file : TRY(fields.objects("files"))) {
        File decoded;
        decoded.name = file_name(TRY_IN("files", file.text("filename")).value_or(""), files.size() + 1);
        decoded.content = TRY(decode_base64("files.data", TRY_IN("files", file.required_text("data"))));
        files.push_back(std::move(decoded));
        TRY(check_files(files));
    }
    return AskedPrompt{std::move(fields), std::move(files)};
}

// Form fields are text; those that are not are JSON in text.
Result<Fields> decode_texts(std::map<std::string, std::string> texts) {
    Json form = Json::object();
    for (auto& [name, text] : texts) form[name] = std::move(text);
    for (const char* name : {"json_schema", "agent_options", "webhook", "timeout"}) {
        const auto text = form.find(name);
        if (text != form.end()) *text = TRY_IN(name, parse_json(text->get_ref<const std::string&>()));
    }
    return Fields::of(std::move(form));
}

Result<AskedPrompt> decode_form(Multipart multipart, const std::string& body) {
    std::map<std::string, std::string> texts;
    std::vector<File> files;
    std::string* field = nullptr;
    for (const auto& event : TRY(multipart.feed(body))) {
        if (event.kind == Multipart::Event::Kind::kPart) {
            const bool file = event.name == "files";
            if (file) files.push_back({file_name(event.filename.value_or(""), files.size() + 1), ""});
            field = file ? &files.back().content : &texts[event.name];
            field->clear();
        } else if (event.kind == Multipart::Event::Kind::kData) {
            *field += event.data;
        }
        TRY(check_files(files));
    }
    if (!multipart.complete()) return invalid("body: ends before its closing multipart boundary");
    return AskedPrompt{TRY(decode_texts(std::move(texts))), std::move(files)};
}

// Here, since who has to wait is looked at on the loop when its turn has come.
Result<void> check_settings(const Fields& fields) {
    for (const char* name : {"json_schema", "agent_options"}) {
        if (dump(TRY(fields.any_object(name))).size() > kMostSettings) {
            return Error{ErrorKind::kTooLarge, 0, std::string(name) + ": longer than 128 KiB"};
        }
    }
    return {};
}

Task<Result<AskedPrompt>> read_prompt(Exchange& exchange) {
    CO_TRY_LET(std::string body, co_await exchange.read_body(kMostPromptBody));
    const size_t size = body.size();
    CO_TRY(exchange.memory().grow(2 * size));
    const auto decode = [&]() -> Result<AskedPrompt> {
        const std::string text = std::exchange(body, {});
        const std::string type = exchange.request().header("content-type");
        AskedPrompt asked =
            TRY(!type.starts_with("multipart/") ? decode_json(text) : decode_form(TRY(Multipart::open(type)), text));
        TRY(check_settings(asked.fields));
        asked.words = asked.fields.dump_only(kRead);
        return asked;
    };
    auto asked = co_await exchange.decode(size, decode);
    exchange.memory().shrink(size);  // of the text; its files are there twice as long as they are encoded
    co_return asked;
}

Result<Prompt> decode_prompt(const Fields& fields) {
    Prompt prompt;
    prompt.text = TRY(fields.required_text("prompt"));
    if (prompt.text.empty() || prompt.text.size() > kMostPrompt || prompt.text.find('\0') != std::string::npos) {
        return invalid("prompt: must be 1 byte to 1 MiB of text");
    }
    prompt.schema = TRY(fields.any_object("json_schema"));
    const Json options = TRY(fields.any_object("agent_options"));
    if (!options.is_null()) prompt.options = options;
    return prompt;
}

Result<std::optional<Webhook>> decode_webhook(const Fields& fields) {
    const auto given = TRY(fields.object("webhook"));
    if (!given) return std::optional<Webhook>();
    Webhook webhook;
    webhook.url = TRY_IN("webhook", given->required_text("url"));
    webhook.headers = TRY_IN("webhook", given->pairs("headers"));
    TRY(check_webhook(webhook, "webhook.url", "webhook.headers"));
    return std::optional(std::move(webhook));
}

// Where the agent can read them and no repository takes them for its own.
Task<Result<std::vector<std::string>>> place_files(Services& services, std::shared_ptr<Box> box,
                                                   std::vector<File> given) {
    std::vector<std::string> paths;
    if (given.empty()) co_return paths;
    const std::string folder = "/home/boxuser/.hutch/prompts/" + random_id();
    for (size_t i = 0; i < given.size(); ++i) {
        const std::string path = folder + "/" + given[i].name;
        const bool taken = std::find(paths.begin(), paths.end(), path) != paths.end();
        paths.push_back(taken ? folder + "/" + std::to_string(i + 1) + "-" + given[i].name : path);
    }
    CO_TRY_LET(const Files files, Files::of(*box));
    CO_TRY(co_await services.boxes.workers().run([&]() -> Result<void> {
        for (size_t i = 0; i < given.size(); ++i) TRY(files.write(paths[i], given[i].content));
        return {};
    }));
    co_return paths;
}

Task<Result<std::shared_ptr<PromptRun>>> start(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(AskedPrompt asked, co_await read_prompt(exchange));
    Asked prompt;
    CO_TRY_LET(prompt.prompt, decode_prompt(asked.fields));
    CO_TRY_LET(auto webhook, decode_webhook(asked.fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY(decode_surroundings(services, *box, asked.fields, prompt.surroundings));
    CO_TRY_LET(prompt.prompt.files, co_await place_files(services, box, std::move(asked.files)));
    prompt.words = dump(Json{{"asked", std::move(asked.words)}, {"files", prompt.prompt.files}});
    co_return co_await services.agents.start(box, std::move(prompt), std::move(webhook));
}

// Of one whose turn has come.
Result<Asked> read_words(const Services& services, const Box& box, const std::string& words) {
    const Fields kept = TRY(Fields::parse(words));
    const Fields fields = TRY(Fields::parse(TRY(kept.required_text("asked"))));
    Asked asked;
    asked.prompt = TRY(decode_prompt(fields));
    asked.prompt.files = TRY(kept.texts("files"));
    asked.prompt.model = TRY(kept.text_or("model", ""));
    TRY(decode_surroundings(services, box, fields, asked.surroundings));
    return asked;
}

Json stats_json(const Services& services, const PromptRecord& prompt, int64_t cpu_ns) {
    const auto box = services.boxes.find_of_any(prompt.box);
    const int64_t memory = box.ok() ? services.meter.pending(*box.value()).memory_peak_bytes : 0;
    return {{"cpu_ns", cpu_ns}, {"memory_peak_bytes", memory}};
}

std::string end_event(const PromptRecord& prompt) {
    if (!prompt.error.empty()) return final_event("error", Json{{"error", prompt.error}});
    const Json done{{"output", prompt.output},
                    {"input_tokens", prompt.input_tokens},
                    {"output_tokens", prompt.output_tokens},
                    {"cached_input_tokens", prompt.cached_input_tokens},
                    {"total_cost_usd", static_cast<double>(prompt.cost_nano_usd) / 1e9},
                    {"session_id", prompt.session}};
    return final_event("done", done);
}

// What a program has written, as events, to whoever reads them.
class Teller {
  public:
    Teller(Workers& workers, Exchange& exchange, const Harness& harness)
        : workers_(workers), exchange_(exchange), transcript_(harness.transcript()) {}

    Task<Result<void>> tell(Stream& said) {
        const Transcript::Take take = [this](const AgentEvent& event) {
            events_ += final_event(event.name.c_str(), event.data);
        };
        const auto read = [&](std::string_view piece) -> Task<Result<void>> {
            const size_t bytes = transcript_->pending() + piece.size();
            co_await read_aside(workers_, bytes, [&] { transcript_->feed(piece, take); });
            co_return co_await exchange_.write(std::exchange(events_, ""));
        };
        CO_TRY(co_await said.follow(said.journal().begin(), read, Reader::kClient));
        co_await read_aside(workers_, transcript_->pending(), [&] { transcript_->end(take); });
        co_return co_await exchange_.write(std::exchange(events_, ""));
    }

  private:
    Workers& workers_;
    Exchange& exchange_;
    std::unique_ptr<Transcript> transcript_;
    std::string events_;
};

// Its id, and what it waits for: a client that cancels it has to know it at once.
Json start_json(const Services& services, const std::string& run) {
    Json json{{"run_id", run}};
    if (const auto before = services.agents.waits_for(run)) json["waits_for"] = *before;
    return json;
}

Task<Result<void>> begin(const Services& services, Exchange& exchange, std::string run) {
    CO_TRY(co_await exchange.begin(200, "text/event-stream"));
    const std::string first = final_event("run_start", start_json(services, run));
    co_return co_await exchange.write(first);
}

Task<Result<void>> end(Services& services, Exchange& exchange, PromptRecord prompt, int64_t cpu_ns) {
    const std::string last = final_event("stats", stats_json(services, prompt, cpu_ns)) + end_event(prompt);
    CO_TRY(co_await exchange.write(last));
    co_return co_await exchange.end();
}

Task<Result<void>> tell_to_end(Services& services, Exchange& exchange, std::shared_ptr<PromptRun> prompt) {
    co_await prompt->begun.wait();
    if (prompt->run) {
        Teller teller(services.boxes.workers(), exchange, *prompt->harness);
        CO_TRY(co_await teller.tell(prompt->run->output()));
    }
    co_await prompt->ended.wait();
    int64_t cpu_ns = 0;
    if (prompt->run) cpu_ns = prompt->run->record().cpu_ns;
    co_return co_await end(services, exchange, prompt->record, cpu_ns);
}

// All that it has done so far, then what it does, then what came of it.
Answer tell(Services& services, Exchange& exchange, std::shared_ptr<PromptRun> prompt) {
    CO_TRY(co_await begin(services, exchange, prompt->record.run));
    const Beat comment = [&exchange] { return exchange.write(":\n\n"); };
    const auto told = co_await unless(gone_or_beat(exchange, comment), tell_to_end(services, exchange, prompt));
    if (!told) {
        if (prompt->run) log_info("box {}: run {} goes on without its client", prompt->record.box, prompt->record.run);
        co_return client_left();
    }
    CO_TRY(*told);
    co_return std::optional<Response>();
}

Answer stream(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto prompt, co_await start(services, exchange, params));
    auto told = co_await tell(services, exchange, prompt);
    // Who leaves before its turn has come does not want it any more; who is cut off by the daemon's end may.
    if (exchange.left() && !services.events.closed()) (void)services.agents.cancel(prompt->record.run);
    co_return told;
}

// Once more from the beginning, for who came late or lost the connection.
Answer events(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const RunRecord run, services.runs.record(*box, params.at("run")));
    co_await services.runs.settled(box);
    if (auto prompt = services.agents.find(run.id)) {
        co_return co_await tell(services, exchange, std::move(prompt));
    }
    CO_TRY_LET(const auto prompt, services.agents.record(run.id));
    if (!prompt) co_return invalid("run: " + run.id + " is no prompt to an agent; read its output");
    CO_TRY_LET(const Harness* const harness, find_harness(prompt->harness));
    CO_TRY_LET(Journal journal, services.runs.journal(run, false));
    Stream said(services.boxes.executor(), UniqueFd(), std::move(journal));
    CO_TRY(co_await begin(services, exchange, run.id));
    Teller teller(services.boxes.workers(), exchange, *harness);
    CO_TRY(co_await teller.tell(said));
    CO_TRY(co_await end(services, exchange, *prompt, run.cpu_ns));
    co_return std::optional<Response>();
}

Answer run(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto prompt, co_await start(services, exchange, params));
    Json json = start_json(services, prompt->record.run);
    json["status"] = "running";
    co_return std::optional(answer(std::move(json)));
}

}  // namespace

Result<void> check_webhook(const Webhook& webhook, const std::string& url, const std::string& headers) {
    if (!is_web_address(webhook.url) || has_control(webhook.url) || webhook.url.size() > 2048) {
        return invalid(url + ": must be an http or https address");
    }
    for (const auto& [name, value] : webhook.headers) {
        TRY_IN(headers, check_header(name, value));
    }
    return {};
}

Result<Asked> asked_by(const Services& services, const Box& box, const ScheduleRecord& schedule) {
    Json fields{{"prompt", schedule.prompt}, {"folder", schedule.folder}};
    if (!schedule.agent_options.empty()) fields["agent_options"] = TRY(parse_json(schedule.agent_options));
    if (schedule.timeout_ms != 0) fields["timeout"] = schedule.timeout_ms;
    const std::string words = dump(Json{{"asked", dump(fields)}, {"model", schedule.model}});
    Asked asked = TRY(read_words(services, box, words));
    asked.words = words;
    return asked;
}

void add_prompt_routes(Router& router, Services& services) {
    services.agents.read_words_by(
        [&services](const Box& box, const std::string& words) { return read_words(services, box, words); });
    router.add("POST", "/v2/box/{id}/run", with(services, run));
    router.add("POST", "/v2/box/{id}/run/stream", with(services, stream));
    router.add("GET", "/v2/box/{id}/runs/{run}/events", with(services, events));
}

}  // namespace hutch::daemon
