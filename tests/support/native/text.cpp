/* Streams, locales, strings, containers, regular expressions and exceptions of libstdc++, for so many seconds of CPU time. */
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

static int thrown;

__attribute__((noinline)) static int deep(int depth, std::string text)
{
	if (!depth)
		throw std::invalid_argument(text);
	return deep(depth - 1, text + 'x') + 1;
}

static std::string table(int rows)
{
	std::ostringstream out;
	std::map<std::string, double> found;

	for (int row = 0; row < rows; row++)
		found["row " + std::to_string(row * 7919 % rows)] += row / 3.0;
	for (const auto &each : found)
		out << each.first << ": " << each.second << std::endl;
	return out.str();
}

static void work(double end_s)
{
	const std::regex number("([0-9]+)\\.([0-9]+)");

	while (std::clock() < end_s * CLOCKS_PER_SEC) {
		const std::string text = table(300);
		std::istringstream in(text);
		std::string word;
		double value, sum = 0;

		while (in >> word >> word >> value)
			sum += value;
		std::regex_replace(text.substr(0, 600), number, "$2.$1");
		try {
			deep(20, "thrown on purpose");
		} catch (const std::exception &) {
			thrown++;
		}
	}
}

int main(int, char **arguments)
{
	const double end_s = std::atof(arguments[1]);
	std::thread other(work, end_s);

	work(end_s);
	other.join();
	std::cout << thrown << std::endl;
}
