#include <fcntl.h>

#include <map>

#include "base/file.h"
#include "client/program.h"
#include "client/relay.h"

namespace hutch::client {
namespace {

struct CodeOptions {
    std::string box, file, language, folder;
    std::optional<unsigned> timeout;  ///< seconds
};

Result<std::string> language_of(const CodeOptions& options) {
    static const std::map<std::string, std::string> kEndings = {{".js", "js"},    {".cjs", "js"}, {".mjs", "js"},
                                                                {".ts", "ts"},    {".mts", "ts"}, {".cts", "ts"},
                                                                {".py", "python"}};
    if (!options.language.empty()) return options.language;
    const size_t dot = options.file.rfind('.');
    const auto found = dot == std::string::npos ? kEndings.end() : kEndings.find(options.file.substr(dot));
    if (found != kEndings.end()) return found->second;
    return invalid("the language of " + options.file + " is not known by its name; say it with --language");
}

Result<int> run_code(Program& program, const CodeOptions& options) {
    program.failure = kExecFailed;
    Json body = {{"language", TRY(language_of(options))}};
    body["code"] = TRY_IN("the code", read_file_at(AT_FDCWD, options.file == "-" ? "/dev/stdin" : options.file));
    if (!options.folder.empty()) body["folder"] = options.folder;
    if (options.timeout) body["timeout"] = int64_t{*options.timeout} * 1000;
    const Api api = TRY(program.api());
    return run_streaming(api, options.box, "code-stream", body, options.file);
}

}  // namespace

void add_code_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<CodeOptions>();
    CLI::App* command =
        add_command(app, "code",
                    "Run a piece of code in a box, by the program its image has for it\n\nIts output "
                    "and exit code become those of hutch;\n125 means that hutch itself failed.",
                    "hutch code web hello.ts\n  echo 'print(6 * 7)' | hutch code lab - --language python");
    add_box(*command, options->box);
    command->add_option("FILE", options->file, "Where the code is; `-` is standard input")->required();
    command->add_option("--language", options->language, "Else by the name of FILE")
        ->type_name("js|ts|python")
        ->check(CLI::IsMember({"js", "ts", "python"}).description(""));
    command->add_option("--timeout", options->timeout, "Kill it after that long")
        ->type_name("SECONDS")
        ->check(CLI::Range(1U, 604800U).description(""));
    command->add_option("-w,--workdir", options->folder, "Directory to run it in")->type_name("DIR");
    run_on(command, program, options, run_code);
}

}  // namespace hutch::client
