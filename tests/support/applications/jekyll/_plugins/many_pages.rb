# frozen_string_literal: true

# Makes the site's pages, each with tables, lists and code to highlight.
class ManyPages < Jekyll::Generator
  COUNT = 150
  ROWS = (1..10).map { |row| "| #{row} | *row* #{row} | `code` |" }.join("\n")
  CODE = "~~~ ruby\n#{(1..10).map { |row| "def method_#{row}(x) = \"#{row}\" + x # a remark" }.join("\n")}\n~~~"

  def generate(site)
    COUNT.times do |number|
      page = Jekyll::PageWithoutAFile.new(site, site.source, '', "page#{number}.md")
      page.content = "# Page #{number}\n\nSome **text** about [it](http://host/#{number}).\n\n#{ROWS}\n\n#{CODE}\n"
      page.data.update('layout' => 'page', 'title' => "Page #{number}")
      site.pages << page
    end
  end
end
