// A filter with the C++ library: standard input in capitals on standard output.
#include <algorithm>
#include <cctype>
#include <iostream>
#include <iterator>
#include <string>

int main() {
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  std::cout << text;
}
