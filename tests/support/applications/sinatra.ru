# frozen_string_literal: true

# A Sinatra site with an ERB template. In production Sinatra compiles it once, in development with each request.
require 'sinatra/base'

class Site < Sinatra::Base
  set :views, File.join(__dir__, 'views')

  get '/' do
    @orders = Array.new(40) { |number| { number: number, name: "order #{number}", sum: number * 1.19 } }
    erb :orders, layout: :layout
  end
end

run Site
