INSERT INTO products (name, about, cents) VALUES
  ('Assam tea', 'Black leaf from the Brahmaputra valley, 250 g', 890),
  ('Darjeeling tea', 'First flush, light and flowery, 100 g', 1450),
  ('Gunpowder tea', 'Green leaf rolled into pellets, 250 g', 720),
  ('Lapsang souchong tea', 'Black leaf dried over pine smoke, 100 g', 990),
  ('Rooibos', 'Red bush from the Cederberg, free of caffeine, 200 g', 540),
  ('Espresso beans', 'Dark roast with a little robusta, 1 kg', 1990),
  ('Filter coffee', 'Light roast from Yirgacheffe, ground, 500 g', 1290),
  ('Orange marmalade', 'Seville oranges, coarse cut, 340 g', 460),
  ('Quince jelly', 'For cheese, or for bread, 250 g', 520),
  ('Heather honey', 'Thick, amber, a little bitter, 500 g', 1180),
  ('Rye crispbread', 'Baked thin, keeps for a year, 300 g', 310),
  ('Oat cakes', 'From the Orkneys, 250 g', 290),
  ('Sardines', 'In olive oil, matured two years, 125 g', 480),
  ('Anchovies', 'Cantabrian, filleted by hand, 50 g', 760),
  ('Olive oil', 'Koroneiki, pressed cold, 750 ml', 1390),
  ('Sherry vinegar', 'Aged in oak, 375 ml', 870),
  ('Smoked paprika', 'Pimentón de la Vera, sweet, 75 g', 420),
  ('Black pepper', 'Kampot, whole, 100 g', 950),
  ('Sea salt', 'Flakes from Maldon, 250 g', 350),
  ('Dark chocolate', 'Seventy per cent, from Madagascar, 100 g', 430);

-- Euro reference rates: units of the currency for one euro.
INSERT INTO rates (currency, per_euro) VALUES
  ('AUD', 1.78), ('BRL', 6.24), ('CAD', 1.63), ('CHF', 0.93), ('CNY', 8.25), ('CZK', 24.3), ('DKK', 7.47),
  ('GBP', 0.88), ('HUF', 386), ('INR', 103), ('JPY', 180), ('KRW', 1690), ('MXN', 21.4), ('NOK', 11.8),
  ('NZD', 2.05), ('PLN', 4.24), ('SEK', 11.0), ('SGD', 1.51), ('TRY', 49), ('USD', 1.16), ('ZAR', 20.1);

-- ISO 3166-1. Their names are the business of golang.org/x/text.
INSERT INTO countries (code) SELECT value FROM json_each('[
  "AD","AE","AF","AG","AI","AL","AM","AO","AQ","AR","AS","AT","AU","AW","AX","AZ","BA","BB","BD","BE","BF","BG","BH","BI","BJ",
  "BL","BM","BN","BO","BQ","BR","BS","BT","BV","BW","BY","BZ","CA","CC","CD","CF","CG","CH","CI","CK","CL","CM","CN","CO","CR",
  "CU","CV","CW","CX","CY","CZ","DE","DJ","DK","DM","DO","DZ","EC","EE","EG","EH","ER","ES","ET","FI","FJ","FK","FM","FO","FR",
  "GA","GB","GD","GE","GF","GG","GH","GI","GL","GM","GN","GP","GQ","GR","GS","GT","GU","GW","GY","HK","HM","HN","HR","HT","HU",
  "ID","IE","IL","IM","IN","IO","IQ","IR","IS","IT","JE","JM","JO","JP","KE","KG","KH","KI","KM","KN","KP","KR","KW","KY","KZ",
  "LA","LB","LC","LI","LK","LR","LS","LT","LU","LV","LY","MA","MC","MD","ME","MF","MG","MH","MK","ML","MM","MN","MO","MP","MQ",
  "MR","MS","MT","MU","MV","MW","MX","MY","MZ","NA","NC","NE","NF","NG","NI","NL","NO","NP","NR","NU","NZ","OM","PA","PE","PF",
  "PG","PH","PK","PL","PM","PN","PR","PS","PT","PW","PY","QA","RE","RO","RS","RU","RW","SA","SB","SC","SD","SE","SG","SH","SI",
  "SJ","SK","SL","SM","SN","SO","SR","SS","ST","SV","SX","SY","SZ","TC","TD","TF","TG","TH","TJ","TK","TL","TM","TN","TO","TR",
  "TT","TV","TW","TZ","UA","UG","UM","US","UY","UZ","VA","VC","VE","VG","VI","VN","VU","WF","WS","YE","YT","ZA","ZM","ZW"
]');
